package classify

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/stages/bus/history"
	"service-monitor/stages/decode"
)

// at is an update: "active/running", the number of the invocation, and more.
func at(state string, invocation byte, more ...func(*decode.Update)) decode.Update {
	active, sub, _ := strings.Cut(state, "/")
	u := decode.Update{Unit: "a.service", Properties: decode.Properties{
		LoadState: "loaded", ActiveState: active, SubState: sub, Result: success,
	}}
	if invocation > 0 {
		u.Invocation = decode.Invocation{invocation}
	}
	for _, f := range more {
		f(&u)
	}
	return u
}

func snapshot(u *decode.Update) { u.Kind = decode.Snapshot }

func reentered(u *decode.Update)   { u.Reentered = true }
func cleanable(u *decode.Update)   { u.Cleanable = true }
func cleanFailed(u *decode.Update) { u.CleanFailed = true }

func ending(u *decode.Update) { u.Ending = true }

func unloaded(u *decode.Update) { u.LoadState = "not-found" }

func in(loadState string) func(*decode.Update) {
	return func(u *decode.Update) { u.LoadState = loadState }
}

func job(id uint32) func(*decode.Update) {
	return func(u *decode.Update) { u.Job = id }
}

func restarts(n uint32) func(*decode.Update) {
	return func(u *decode.Update) { u.NRestarts = n }
}

func entered(at uint64) func(*decode.Update) {
	return func(u *decode.Update) { u.Entered = at }
}

func result(r string, code, status int32) func(*decode.Update) {
	return func(u *decode.Update) { u.Result, u.MainCode, u.MainStatus = r, code, status }
}

// recovered makes a snapshot one behind which the journal was read.
func recovered(runs ...history.Run) func(*decode.Update) {
	return func(u *decode.Update) { u.Kind, u.Cursor, u.Told, u.Runs = decode.Snapshot, "c", true, runs }
}

// past is what the journal tells by itself. Of the runs, the first are to be told.
func past(tell int, runs ...history.Run) decode.Update {
	return decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Runs: runs, Tell: tell}}
}

// fromCursor makes an update one of what was read from the cursor of the others
// of a test, since which some restarts were scheduled.
func fromCursor(restarts uint32, u decode.Update) decode.Update {
	return fromPlace("c", restarts, u)
}

func fromPlace(from history.Place, restarts uint32, u decode.Update) decode.Update {
	u.From, u.Restarts = from, restarts
	return u
}

func cut(how string) decode.Update {
	return decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Cut: how}}
}

// lossy makes an update one of which the journal lacks something.
func lossy(u decode.Update) decode.Update {
	u.Lossy = true
	return u
}

// run is what the journal tells of an invocation; it is running without a result.
func run(invocation byte, result string, scheduled uint32) history.Run {
	r := history.Run{Invocation: history.Invocation{invocation}, Begun: time.Time{}, Result: result, Scheduled: scheduled}
	if scheduled > 0 {
		r.NRestarts = uint32(invocation) - 1
	}
	if result != "" {
		r.Ended = time.Unix(2, 0)
	}
	return r
}

// scheduled is a run after which NRestarts was counted up to n.
func scheduled(n uint32, r history.Run) history.Run {
	r.NRestarts = n
	return r
}

func refused(r history.Run) history.Run {
	r.Refused, r.Refusal = r.Ended, StartLimitHit
	return r
}

func unscheduled(r history.Run) history.Run {
	r.Refused, r.Refusal = r.Ended, resources
	return r
}

// received is a run whose first record was received at a time since boot.
func received(clock uint64, r history.Run) history.Run {
	r.Clock = clock
	return r
}

// told is what the facts of a test are compared as.
func told(facts []Transition) []string {
	var lines []string
	for _, f := range facts {
		line := [...]string{"seen", "moved", "started", "stopped", "crashed", "ended", "restarted", "gave up", "forgotten", "caught up", "folded"}[f.Kind]
		switch f.Kind {
		case Seen:
			line += " " + f.To
		case Moved:
			line = fmt.Sprintf("%s -> %s/%s", f.From, f.To, f.SubState)
		case Crashed, Stopped, UnknownEnd, GaveUp:
			line += " " + f.Cause.Result
		}
		if f.AtLeast && f.Kind != Moved {
			line += " at least"
		}
		if f.Missed {
			line += " and ended"
		}
		lines = append(lines, line)
	}
	return lines
}

// The sequences are those that systemd 252 and 257 were seen to send.
func TestStep(t *testing.T) {
	failed := result("exit-code", exited, 1)
	exited0, limited := result(success, exited, 0), result(StartLimitHit, exited, 0)
	dead := at("inactive/dead", 0, snapshot)
	for _, tt := range []struct {
		name    string
		updates []decode.Update
		want    []string
	}{{
		name: "start and stop, each announced twice",
		updates: []decode.Update{
			dead, at("inactive/dead", 1), at("inactive/dead", 1), at("active/running", 1), at("active/running", 1),
			at("deactivating/stop-sigterm", 1), at("inactive/dead", 1), at("inactive/dead", 1),
		},
		want: []string{
			"seen inactive", "inactive -> active/running", "started",
			"active -> deactivating/stop-sigterm", "deactivating -> inactive/dead", "stopped success",
		},
	}, {
		name: "running when first seen",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("active/running", 1), at("failed/failed", 1, failed), at("failed/failed", 1, failed),
		},
		want: []string{"seen active", "active -> failed/failed", "crashed exit-code"},
	}, {
		name: "crash and automatic restart on 252",
		updates: []decode.Update{
			at("active/running", 1, snapshot),
			at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed), at("activating/auto-restart", 1, failed, restarts(1)),
			at("inactive/dead", 2, restarts(1)), at("inactive/dead", 2, restarts(1)), at("active/running", 2, restarts(1)),
		},
		want: []string{
			"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
			"activating -> inactive/dead", "inactive -> active/running", "started",
		},
	}, {
		name: "crash and automatic restart on 257",
		updates: []decode.Update{
			at("active/running", 1, snapshot),
			at("failed/failed-before-auto-restart", 1, failed), at("activating/auto-restart", 1, failed),
			at("activating/auto-restart-queued", 2, restarts(1)), at("active/running", 2, restarts(1)),
		},
		want: []string{
			"seen active", "active -> failed/failed-before-auto-restart", "crashed exit-code", "failed -> activating/auto-restart",
			"activating -> activating/auto-restart-queued", "restarted", "activating -> active/running", "started",
		},
	}, {
		name: "RestartMode=direct: never failed",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("activating/auto-restart", 1, failed),
			at("activating/auto-restart-queued", 2, restarts(1)), at("active/running", 2, restarts(1)),
		},
		want: []string{
			"seen active", "active -> activating/auto-restart", "crashed exit-code",
			"activating -> activating/auto-restart-queued", "restarted", "activating -> active/running", "started",
		},
	}, {
		name: "start limit hit",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed),
			at("activating/auto-restart", 1, failed, restarts(1)), at("inactive/dead", 1, failed, restarts(1)),
			at("failed/failed", 1, failed, restarts(1)), at("failed/failed", 1, failed, restarts(1)),
		},
		want: []string{
			"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
			"activating -> inactive/dead", "inactive -> failed/failed", "gave up start-limit-hit",
		},
	}, {
		name: "start limit hit on 257",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed-before-auto-restart", 1, failed), at("activating/auto-restart", 1, failed),
			at("activating/auto-restart", 1, failed, restarts(1)), at("activating/auto-restart-queued", 1, failed, restarts(1)),
			at("failed/failed", 1, failed, restarts(1)), at("failed/failed", 1, failed, restarts(1)),
		},
		want: []string{
			"seen active", "active -> failed/failed-before-auto-restart", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
			"activating -> activating/auto-restart-queued", "activating -> failed/failed", "gave up start-limit-hit",
		},
	}, {
		name: "start limit hit after a clean exit, RestartMode=direct",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("activating/auto-restart", 1, exited0), at("activating/auto-restart", 1, exited0, restarts(1)),
			at("activating/auto-restart-queued", 1, exited0, restarts(1)), at("failed/failed", 1, limited, restarts(1)),
		},
		want: []string{
			"seen active", "active -> activating/auto-restart", "stopped success", "restarted",
			"activating -> activating/auto-restart-queued", "activating -> failed/failed", "gave up start-limit-hit",
		},
	}, {
		name: "a run that a restart began fails, and is not restarted, on 257",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed-before-auto-restart", 1, failed), at("activating/auto-restart", 1, failed),
			at("activating/auto-restart", 1, failed, restarts(1)), at("activating/auto-restart-queued", 1, failed, restarts(1)),
			at("activating/auto-restart-queued", 2, restarts(1)), at("active/running", 2, restarts(1)),
			at("deactivating/stop-sigterm", 2, restarts(1)), at("failed/failed", 2, failed, restarts(1)), at("failed/failed", 2, failed, restarts(1)),
		},
		want: []string{
			"seen active", "active -> failed/failed-before-auto-restart", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
			"activating -> activating/auto-restart-queued", "activating -> active/running", "started",
			"active -> deactivating/stop-sigterm", "deactivating -> failed/failed", "crashed exit-code",
		},
	}, {
		name: "a run that a restart began fails without ever being up, and is not restarted, on 257",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot, entered(5)), at("activating/auto-restart-queued", 1, failed, restarts(1), entered(6)),
			at("activating/auto-restart-queued", 2, result(resources, 0, 0), restarts(1), entered(6)),
			at("failed/failed", 2, result(resources, 0, 0), restarts(1), entered(7)), at("failed/failed", 2, result(resources, 0, 0), restarts(1), entered(7)),
		},
		want: []string{
			"seen activating", "activating -> activating/auto-restart-queued", "restarted", "activating -> failed/failed", "started", "crashed resources",
		},
	}, {
		name: "waiting for a restart when first seen, and then the start limit",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart-queued", 1, failed, restarts(1)),
			at("failed/failed", 1, failed, restarts(1)),
		},
		want: []string{
			"seen activating", "activating -> activating/auto-restart-queued", "restarted", "activating -> failed/failed", "gave up start-limit-hit",
		},
	}, {
		name: "a restart that could not be scheduled: nobody knows why",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed),
			at("failed/failed", 1, failed), at("failed/failed", 1, failed, in("not-found")),
		},
		want: []string{
			"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart",
			"activating -> failed/failed", "gave up resources",
		},
	}, {
		name: "a restart that could not be scheduled after a clean exit: the unit file was known to be bad",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("inactive/dead-before-auto-restart", 1, exited0), at("activating/auto-restart", 1, exited0),
			at("activating/auto-restart", 1, exited0, in("bad-setting")), at("failed/failed", 1, result(resources, exited, 0), in("bad-setting")),
		},
		want: []string{
			"seen active", "active -> inactive/dead-before-auto-restart", "stopped success", "inactive -> activating/auto-restart",
			"activating -> failed/failed", "gave up bad-setting",
		},
	}, {
		name: "a restart that was scheduled anew, because of a daemon-reload, and then could not be",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1)),
			at("failed/failed", 1, failed, restarts(1), in("masked")),
		},
		want: []string{"seen activating", "restarted", "activating -> failed/failed", "gave up masked"},
	}, {
		name: "a restart that could not be scheduled while nobody watched",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("failed/failed", 1, failed, snapshot, in("not-found")),
		},
		want: []string{"seen activating", "activating -> failed/failed", "gave up not-found", "caught up"},
	}, {
		name: "what it needs has failed when it was to be restarted, on 257",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
			at("activating/auto-restart-queued", 1, failed, restarts(1), job(7)), at("activating/auto-restart-queued", 1, failed, restarts(1)),
			at("activating/auto-restart-queued", 1, failed, restarts(1)), at("activating/auto-restart-queued", 2, restarts(1), job(8)),
			at("active/running", 2, restarts(1)),
		},
		want: []string{
			"seen activating", "restarted", "activating -> activating/auto-restart-queued", "gave up resources",
			"activating -> active/running", "started",
		},
	}, {
		name: "what it needs has failed when it was to be restarted, on 252",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
			at("inactive/dead", 1, failed, restarts(1), job(7)), at("inactive/dead", 1, failed, restarts(1)), at("inactive/dead", 0),
		},
		want: []string{"seen activating", "restarted", "activating -> inactive/dead", "gave up resources"},
	}, {
		name: "stopped while the job of its restart waits for its turn",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
			at("activating/auto-restart-queued", 1, failed, restarts(1), job(8)), at("activating/auto-restart-queued", 1, failed, restarts(1), job(8)),
			at("inactive/dead", 1, failed, restarts(1), job(8)),
			at("inactive/dead", 1, failed, restarts(1)), at("inactive/dead", 1, failed, restarts(1)),
		},
		want: []string{"seen activating", "restarted", "activating -> activating/auto-restart-queued", "activating -> inactive/dead"},
	}, {
		name: "the job of its restart was over while nobody watched: a stop may have been the reason, or not",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
			at("inactive/dead", 1, failed, restarts(1), snapshot), at("inactive/dead", 1, failed, restarts(1)),
			at("active/running", 2, snapshot), at("activating/auto-restart", 2, failed), at("activating/auto-restart-queued", 2, failed, restarts(1), job(9)),
			at("activating/auto-restart-queued", 2, failed, restarts(1), snapshot),
		},
		want: []string{
			"seen activating", "restarted", "activating -> inactive/dead", "caught up", "inactive -> active/running", "started at least", "caught up at least",
			"active -> activating/auto-restart", "crashed exit-code", "activating -> activating/auto-restart-queued", "restarted", "gave up resources", "caught up",
		},
	}, {
		name: "a start by hand that only waits for the restart",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, job(7)), at("activating/auto-restart", 1, failed),
			at("activating/auto-restart", 1, failed, job(8)), at("activating/auto-restart", 1, failed, job(8), restarts(1)),
			at("activating/auto-restart-queued", 2, restarts(1), job(8)), at("active/running", 2, restarts(1), job(8)), at("active/running", 2, restarts(1)),
		},
		want: []string{"seen activating", "restarted", "activating -> activating/auto-restart-queued", "activating -> active/running", "started"},
	}, {
		name: "refused by the start limit while nobody watched",
		updates: []decode.Update{
			at("activating/auto-restart", 1, failed, snapshot), at("failed/failed", 1, failed, restarts(1), snapshot, in("not-found")),
		},
		want: []string{"seen activating", "activating -> failed/failed", "restarted", "gave up start-limit-hit", "caught up"},
	}, {
		name: "clean exits into the start limit, of which the journal has nothing",
		updates: []decode.Update{
			at("inactive/dead", 0, snapshot), at("failed/failed", 3, limited, restarts(3), snapshot),
		},
		want: []string{
			"seen inactive", "inactive -> failed/failed", "restarted at least and ended", "restarted at least", "restarted at least",
			"started at least", "ended unknown at least", "gave up start-limit-hit at least", "caught up at least",
		},
	}, {
		name: "an end into the start limit, of which the journal has nothing: a success, or the limit would not show",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result(StartLimitHit, exited, 1), restarts(1), snapshot),
		},
		want: []string{
			"seen active", "active -> failed/failed", "restarted", "ended unknown at least", "gave up start-limit-hit", "caught up",
		},
	}, {
		name: "an end of which the result was overwritten when the restart failed, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result(resources, exited, 0), snapshot, in("not-found")),
		},
		want: []string{"seen active", "active -> failed/failed", "ended unknown at least", "caught up"},
	}, {
		name: "an end, and a clean that failed, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, reentered, cleanFailed),
		},
		want: []string{"seen active", "active -> failed/failed", "ended unknown at least", "caught up"},
	}, {
		name: "an end, a clean that failed and a daemon-reload, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, reentered, cleanable, in("loaded")),
		},
		want: []string{"seen active", "active -> failed/failed", "ended unknown at least", "caught up"},
	}, {
		name: "a restart that failed because the unit file is gone, of which the journal has nothing: there was no clean",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, reentered, cleanable, in("not-found")),
		},
		want: []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
	}, {
		name: "a restart that failed, of a unit that has nothing to clean, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, reentered, in("loaded")),
		},
		want: []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
	}, {
		name: "a run that fails before its main process begins, of which the journal has nothing",
		updates: []decode.Update{
			at("inactive/dead", 0, snapshot), at("failed/failed", 1, result("exit-code", 0, 0), snapshot, reentered, cleanable, in("loaded")),
		},
		want: []string{"seen inactive", "inactive -> failed/failed", "started at least", "crashed exit-code at least", "caught up at least"},
	}, {
		name: "a failed end of a unit of which an earlier clean had failed, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", exited, 1), snapshot, cleanFailed),
		},
		want: []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
	}, {
		name: "an end, a reset and a clean, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("inactive/dead", 1, result("success", exited, 1), snapshot, reentered),
		},
		want: []string{"seen active", "active -> inactive/dead", "ended unknown at least", "caught up"},
	}, {
		name: "an end, and a clean that goes on, of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("maintenance/cleaning", 1, result("success", exited, 1), snapshot, reentered),
		},
		want: []string{"seen active", "active -> maintenance/cleaning", "ended unknown at least", "caught up"},
	}, {
		name: "a crash, and a clean of which the journal has nothing",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("inactive/dead", 1, result("exit-code", exited, 1), snapshot, reentered),
		},
		want: []string{"seen active", "active -> inactive/dead", "crashed exit-code", "caught up"},
	}, {
		name: "a wait for a restart, and a clean that failed in a gap",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", exited, 1)), at("activating/auto-restart", 1, result("exit-code", exited, 1)),
			at("failed/failed", 1, result("exit-code", exited, 1), snapshot, reentered, cleanFailed),
		},
		want: []string{
			"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart",
			"activating -> failed/failed", "caught up",
		},
	}, {
		name: "systemctl clean, and a start",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("inactive/dead", 1), at("maintenance/cleaning", 1), at("maintenance/cleaning", 1),
			at("inactive/dead", 1), at("inactive/dead", 2), at("active/running", 2),
		},
		want: []string{
			"seen active", "active -> inactive/dead", "stopped success", "inactive -> maintenance/cleaning", "maintenance -> inactive/dead",
			"inactive -> active/running", "started",
		},
	}, {
		name: "systemctl clean when first seen",
		updates: []decode.Update{
			at("maintenance/cleaning", 1, snapshot), at("maintenance/cleaning-sigterm", 1), at("maintenance/cleaning-sigkill", 1), at("inactive/dead", 1),
		},
		want: []string{
			"seen maintenance", "maintenance -> maintenance/cleaning-sigterm", "maintenance -> maintenance/cleaning-sigkill", "maintenance -> inactive/dead",
		},
	}, {
		name: "systemctl clean of a unit that systemd had unloaded",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("inactive/dead", 1), at("maintenance/cleaning", 0), at("inactive/dead", 0), at("inactive/dead", 2), at("active/running", 2),
		},
		want: []string{
			"seen active", "active -> inactive/dead", "stopped success", "inactive -> maintenance/cleaning", "maintenance -> inactive/dead",
			"inactive -> active/running", "started",
		},
	}, {
		name: "systemctl clean that fails, after a stop while it waited for its restart",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed), at("inactive/dead", 1, failed),
			at("maintenance/cleaning", 1, failed), at("failed/failed", 1, failed), at("failed/failed", 1, failed),
		},
		want: []string{
			"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "activating -> inactive/dead",
			"inactive -> maintenance/cleaning", "maintenance -> failed/failed",
		},
	}, {
		name:    "systemctl clean of a failed unit",
		updates: []decode.Update{at("failed/failed", 1, failed, snapshot), at("maintenance/cleaning", 1, failed), at("failed/failed", 1, failed)},
		want:    []string{"seen failed", "failed -> maintenance/cleaning", "maintenance -> failed/failed"},
	}, {
		name: "systemctl clean when nobody watched any more",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("maintenance/cleaning", 1, snapshot), at("inactive/dead", 1),
		},
		want: []string{"seen active", "active -> maintenance/cleaning", "stopped success", "caught up", "maintenance -> inactive/dead"},
	}, {
		name: "refresh and reload",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("refreshing/refresh-extensions", 1), at("refreshing/refresh-credentials", 1), at("reloading/reload-signal", 1),
			at("reloading/reload-notify", 1), at("active/running", 1), at("refreshing/refresh-extensions", 1), at("failed/failed", 1, failed),
		},
		want: []string{
			"seen active", "active -> refreshing/refresh-extensions", "refreshing -> refreshing/refresh-credentials", "refreshing -> reloading/reload-signal",
			"reloading -> reloading/reload-notify", "reloading -> active/running", "active -> refreshing/refresh-extensions",
			"refreshing -> failed/failed", "crashed exit-code",
		},
	}, {
		name: "refreshing when first seen",
		updates: []decode.Update{
			at("refreshing/refresh-extensions", 1, snapshot), at("active/running", 1), at("inactive/dead", 1),
		},
		want: []string{"seen refreshing", "refreshing -> active/running", "active -> inactive/dead", "stopped success"},
	}, {
		name: "frozen, killed, and thawed: a change that tells nothing, and then the crash",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("active/running", 1), at("active/running", 1), at("failed/failed", 1, failed), at("failed/failed", 1, failed),
		},
		want: []string{"seen active", "active -> failed/failed", "crashed exit-code"},
	}, {
		name: "stop while it waits to restart",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed),
			at("inactive/dead", 1, failed),
		},
		want: []string{
			"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "activating -> inactive/dead",
		},
	}, {
		name: "oneshot, never active",
		updates: []decode.Update{
			dead, at("inactive/dead", 1), at("activating/start", 1), at("inactive/dead", 1),
		},
		want: []string{
			"seen inactive", "inactive -> activating/start", "started", "activating -> inactive/dead", "stopped success",
		},
	}, {
		name: "fails without ever being up",
		updates: []decode.Update{
			dead, at("inactive/dead", 1, entered(5)), at("inactive/dead", 1, entered(5)), at("failed/failed", 1, entered(9), result("resources", 0, 0)),
		},
		want: []string{"seen inactive", "inactive -> failed/failed", "started", "crashed resources"},
	}, {
		name: "fails without ever being up, again",
		updates: []decode.Update{
			at("failed/failed", 1, snapshot, entered(5)),
			at("failed/failed", 2, entered(5)), at("failed/failed", 2, entered(9), result("resources", 0, 0)),
		},
		want: []string{"seen failed", "started", "crashed resources"},
	}, {
		name: "skipped by ExecCondition=",
		updates: []decode.Update{
			dead, at("inactive/dead", 1), at("activating/condition", 1), at("inactive/dead", 1, result(execCondition, 0, 0)),
		},
		want: []string{
			"seen inactive", "inactive -> activating/condition", "started", "activating -> inactive/dead", "stopped exec-condition",
		},
	}, {
		name:    "reload, reset-failed and an unmet condition are no events",
		updates: []decode.Update{at("failed/failed", 1, snapshot, failed), at("inactive/dead", 1), at("inactive/dead", 1)},
		want:    []string{"seen failed", "failed -> inactive/dead"},
	}, {
		name: "reload",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("reloading/reload", 1), at("active/running", 1),
		},
		want: []string{"seen active", "active -> reloading/reload", "reloading -> active/running"},
	}, {
		name: "a unit that appears was not there before",
		updates: []decode.Update{
			at("inactive/dead", 1), at("active/running", 1),
		},
		want: []string{"seen inactive", "inactive -> active/running", "started"},
	}, {
		name:    "not there, then created and started",
		updates: []decode.Update{at("inactive/dead", 0, snapshot, unloaded), at("inactive/dead", 1), at("active/running", 1)},
		want:    []string{"seen unloaded", "unloaded -> inactive/dead", "inactive -> active/running", "started"},
	}, {
		name:    "announced, not up, when first seen",
		updates: []decode.Update{at("inactive/dead", 1, snapshot), at("active/running", 1), at("failed/failed", 1, failed)},
		want:    []string{"seen inactive", "inactive -> active/running", "started", "active -> failed/failed", "crashed exit-code"},
	}, {
		name:    "another run after a gap",
		updates: []decode.Update{at("active/running", 1, snapshot), at("active/running", 2, snapshot)},
		want:    []string{"seen active", "ended unknown at least", "started at least", "caught up at least"},
	}, {
		name:    "more runs in a gap, as NRestarts proves",
		updates: []decode.Update{at("active/running", 1, snapshot), at("active/running", 5, snapshot, restarts(3))},
		want: []string{
			"seen active", "ended unknown at least", "restarted at least and ended", "restarted at least and ended", "restarted at least",
			"started at least", "caught up at least",
		},
	}, {
		name:    "the last restart in a gap may have been cancelled",
		updates: []decode.Update{at("active/running", 1, snapshot), at("inactive/dead", 2, snapshot, restarts(2))},
		want: []string{
			"seen active", "ended unknown at least", "active -> inactive/dead", "restarted at least", "restarted at least",
			"started at least", "stopped success at least", "caught up at least",
		},
	}, {
		name:    "the last restart in a gap was refused",
		updates: []decode.Update{at("active/running", 1, snapshot), at("failed/failed", 5, snapshot, failed, restarts(3))},
		want: []string{
			"seen active", "ended unknown at least", "active -> failed/failed", "restarted at least and ended", "restarted at least", "restarted at least",
			"started at least", "crashed exit-code at least", "caught up at least",
		},
	}, {
		name: "a gap of which the journal has the crashes alone",
		updates: []decode.Update{
			at("active/running", 1, snapshot), past(2, run(1, "signal", 0), run(2, "signal", 0)),
			at("active/running", 4, snapshot, restarts(3)), at("failed/failed", 4, failed, restarts(3)),
		},
		want: []string{
			"seen active", "crashed signal", "started", "crashed signal", "restarted at least and ended", "restarted at least", "restarted at least",
			"started at least", "caught up at least", "active -> failed/failed", "crashed exit-code",
		},
	}, {
		name: "a gap of which the journal has the present run, and not all before it",
		updates: []decode.Update{
			at("active/running", 1, snapshot), past(2, run(1, "signal", 0), run(4, "", 0)), at("active/running", 4, snapshot, restarts(1)),
			at("active/running", 4, snapshot, restarts(1)),
		},
		want: []string{"seen active", "crashed signal", "started", "restarted at least", "caught up at least", "caught up"},
	}, {
		name: "a gap of which the journal lacks restarts",
		updates: []decode.Update{
			at("active/running", 1, snapshot), past(3, run(1, "signal", 0), run(2, "signal", 1), scheduled(4, run(5, "signal", 1))),
			at("active/running", 6, recovered(run(6, "", 0)), restarts(4)),
		},
		want: []string{
			"seen active", "crashed signal", "started", "crashed signal", "restarted",
			"restarted at least and ended", "restarted at least and ended", "started", "crashed signal", "restarted", "started", "caught up",
		},
	}, {
		name:    "garbage-collected in a gap",
		updates: []decode.Update{at("active/running", 1, snapshot), at("inactive/dead", 0, snapshot)},
		want:    []string{"seen active", "ended unknown at least", "active -> inactive/dead", "caught up at least"},
	}, {
		name: "NRestarts that is zeroed in between is not negative",
		updates: []decode.Update{
			at("active/running", 1, snapshot, restarts(9)), at("active/running", 1), at("active/running", 1, restarts(1)),
		},
		want: []string{"seen active", "restarted"},
	}, {
		name:    "forgotten, and known again",
		updates: []decode.Update{at("active/running", 1, snapshot), {Kind: decode.Forgotten, Unit: "a.service"}, at("active/running", 1, snapshot)},
		want:    []string{"seen active", "forgotten", "seen active"},
	}, {
		name: "failed to start, twice, in the state in which it was",
		updates: []decode.Update{
			at("failed/failed", 1, snapshot, failed, entered(10)), at("failed/failed", 2, failed, entered(20)),
			at("failed/failed", 3, failed, entered(20)), at("failed/failed", 3, failed, entered(30)), at("inactive/dead", 3, entered(40)),
		},
		want: []string{
			"seen failed", "started", "crashed exit-code", "started", "crashed exit-code", "failed -> inactive/dead",
		},
	}, {
		name:    "ended while nobody watched, and nothing else",
		updates: []decode.Update{at("active/running", 1, snapshot), at("failed/failed", 1, snapshot, failed)},
		want:    []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
	}, {
		name:    "not loaded, and nobody can tell what happened in between",
		updates: []decode.Update{at("inactive/dead", 0, snapshot), at("inactive/dead", 0, snapshot)},
		want:    []string{"seen inactive", "caught up at least"},
	}, {
		name:    "not there, so nothing happened in between",
		updates: []decode.Update{at("inactive/dead", 0, snapshot, unloaded), at("inactive/dead", 0, snapshot, unloaded)},
		want:    []string{"seen unloaded", "caught up"},
	}, {
		name: "recovered from the journal, with what was counted already",
		updates: []decode.Update{
			at("active/running", 2, snapshot),
			past(3, run(1, "exit-code", 1), run(2, "signal", 1), run(3, "success", 0)),
			at("active/running", 4, restarts(1), recovered(run(4, "", 0))),
		},
		want: []string{"seen active", "crashed signal", "restarted", "started", "stopped success", "started", "caught up"},
	}, {
		name: "the known run is ahead: all before it is counted",
		updates: []decode.Update{
			at("active/running", 4, snapshot),
			past(2, run(1, "exit-code", 1), run(2, "signal", 1), run(3, "success", 0), run(4, "", 0)),
			past(2, run(3, "success", 0), run(4, "success", 0)),
		},
		want: []string{"seen active", "stopped success"},
	}, {
		name: "the known run is not in the journal: what was received before it is counted",
		updates: []decode.Update{
			at("active/running", 4, snapshot, entered(40)),
			past(4, received(10, run(1, "success", 0)), received(39, run(2, "success", 0)), received(41, run(5, "success", 0)), received(50, run(6, "", 0))),
		},
		want: []string{"seen active", "ended unknown at least", "started", "stopped success", "started"},
	}, {
		name: "recovered, and the known run had ended before",
		updates: []decode.Update{
			at("inactive/dead", 2, snapshot), past(1, run(3, "success", 0)), at("inactive/dead", 0, recovered()),
		},
		want: []string{"seen inactive", "started", "stopped success", "caught up"},
	}, {
		name: "recovered, and the known run goes on",
		updates: []decode.Update{
			at("active/running", 2, snapshot), at("active/running", 2, recovered(run(2, "", 0))), at("failed/failed", 2, failed),
		},
		want: []string{"seen active", "caught up", "active -> failed/failed", "crashed exit-code"},
	}, {
		name: "the journal has lost the end of the known run",
		updates: []decode.Update{
			at("active/running", 2, snapshot), at("active/running", 9, restarts(1), recovered(run(9, "", 0))),
		},
		want: []string{"seen active", "ended unknown at least", "started", "restarted at least", "caught up at least"},
	}, {
		name:    "the journal has nothing of the unit (LogLevelMax=)",
		updates: []decode.Update{at("active/running", 2, snapshot), at("active/running", 9, restarts(1), recovered())},
		want:    []string{"seen active", "ended unknown at least", "restarted at least", "started at least", "caught up at least"},
	}, {
		name: "how the run of the snapshot goes on is for the signals to tell",
		updates: []decode.Update{
			at("active/running", 2, snapshot),
			at("active/running", 3, restarts(1), recovered(run(2, "signal", 1), run(3, "signal", 1))),
			at("failed/failed", 3, failed, restarts(1)), at("inactive/dead", 4, restarts(2)), at("active/running", 4, restarts(2)),
		},
		want: []string{
			"seen active", "crashed signal", "restarted", "started", "caught up", "active -> failed/failed", "crashed exit-code",
			"failed -> inactive/dead", "restarted", "inactive -> active/running", "started",
		},
	}, {
		name: "the restart for which a snapshot waits was not scheduled yet",
		updates: []decode.Update{
			at("active/running", 2, snapshot, restarts(6)),
			at("activating/auto-restart", 2, failed, restarts(6), recovered(scheduled(7, run(2, "exit-code", 1)))),
			at("activating/auto-restart", 2, failed, restarts(7)), at("inactive/dead", 3, restarts(7)), at("active/running", 3, restarts(7)),
		},
		want: []string{
			"seen active", "crashed exit-code", "active -> activating/auto-restart", "caught up", "restarted",
			"activating -> inactive/dead", "inactive -> active/running", "started",
		},
	}, {
		name: "NRestarts was zeroed after the restart that was scheduled, for which the snapshot still waits",
		updates: []decode.Update{
			at("active/running", 2, snapshot, restarts(6)),
			at("activating/auto-restart", 2, recovered(scheduled(7, run(2, "exit-code", 1)))), at("inactive/dead", 3), at("active/running", 3),
		},
		want: []string{
			"seen active", "crashed exit-code", "restarted", "active -> activating/auto-restart", "caught up",
			"activating -> inactive/dead", "inactive -> active/running", "started",
		},
	}, {
		name: "NRestarts is zeroed after a snapshot, and then the restart is scheduled for which it waits",
		updates: []decode.Update{
			at("active/running", 2, snapshot, restarts(14)),
			at("activating/auto-restart", 2, restarts(14), recovered(scheduled(1, run(2, "success", 1)))),
			at("activating/auto-restart", 2, restarts(1)), at("inactive/dead", 3, restarts(1)), at("active/running", 3, restarts(1)),
		},
		want: []string{
			"seen active", "stopped success", "active -> activating/auto-restart", "caught up", "restarted",
			"activating -> inactive/dead", "inactive -> active/running", "started",
		},
	}, {
		name: "the restart for which a snapshot waits is scheduled anew, because of a daemon-reload",
		updates: []decode.Update{
			at("active/running", 2, snapshot, restarts(4)),
			at("activating/auto-restart", 2, failed, restarts(5), recovered(scheduled(6, run(2, "exit-code", 2)))),
			at("activating/auto-restart", 2, failed, restarts(6)), at("inactive/dead", 3, restarts(6)), at("active/running", 3, restarts(6)),
		},
		want: []string{
			"seen active", "crashed exit-code", "restarted", "active -> activating/auto-restart", "caught up", "restarted",
			"activating -> inactive/dead", "inactive -> active/running", "started",
		},
	}, {
		name: "NRestarts was zeroed after the restart that was scheduled",
		updates: []decode.Update{
			at("active/running", 2, snapshot, restarts(6)), at("inactive/dead", 2, recovered(scheduled(7, run(2, "exit-code", 1)))),
		},
		want: []string{"seen active", "crashed exit-code", "restarted", "active -> inactive/dead", "caught up"},
	}, {
		name: "a restart that could not be scheduled, then started by hand",
		updates: []decode.Update{
			at("active/running", 2, snapshot), past(2, unscheduled(run(2, "exit-code", 0)), run(3, "", 0)), at("active/running", 3, recovered()),
		},
		want: []string{"seen active", "crashed exit-code", "gave up resources", "started", "caught up"},
	}, {
		name: "refused by the start limit, then started by hand",
		updates: []decode.Update{
			at("active/running", 2, snapshot), past(2, refused(run(2, "exit-code", 1)), run(3, "", 0)), at("active/running", 3, recovered()),
		},
		want: []string{"seen active", "crashed exit-code", "restarted", "gave up start-limit-hit", "started", "caught up"},
	}, {
		name: "boots that ended, with runs that did not",
		updates: []decode.Update{
			at("active/running", 2, snapshot), cut(history.Shutdown), past(1, run(3, "", 0)), cut(history.PowerLoss),
			past(1, run(4, "success", 0)), cut(history.Shutdown), at("inactive/dead", 0, recovered()),
		},
		want: []string{
			"seen active", "stopped shutdown", "started", "stopped power-loss", "started", "stopped success",
			"active -> inactive/dead", "caught up",
		},
	}, {
		name: "stopped when the machine goes down",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("deactivating/stop-sigterm", 1, ending), at("inactive/dead", 1, ending),
		},
		want: []string{"seen active", "active -> deactivating/stop-sigterm", "deactivating -> inactive/dead", "stopped shutdown"},
	}, {
		name: "ended when the machine goes down, by itself or badly",
		updates: []decode.Update{
			at("active/running", 1, snapshot), at("inactive/dead", 1, ending), at("inactive/dead", 2), at("active/running", 2),
			at("deactivating/stop-sigterm", 2, ending), at("failed/failed", 2, ending, result("timeout", killed, 9)),
		},
		want: []string{
			"seen active", "active -> inactive/dead", "stopped success", "inactive -> active/running", "started",
			"active -> deactivating/stop-sigterm", "deactivating -> failed/failed", "crashed timeout",
		},
	}, {
		name:    "a boot of which nothing is left",
		updates: []decode.Update{at("active/running", 2, snapshot), cut(history.Unknown)},
		want:    []string{"seen active", "ended unknown at least"},
	}, {
		name:    "a boot that ended in good order, of which something is lost",
		updates: []decode.Update{at("active/running", 2, snapshot), lossy(cut(history.Shutdown))},
		want:    []string{"seen active", "ended unknown at least"},
	}, {
		name:    "a run whose end is not in the journal",
		updates: []decode.Update{at("active/running", 2, snapshot), past(1, run(2, history.Unknown, 0))},
		want:    []string{"seen active", "ended unknown at least"},
	}, {
		name:    "a unit that appeared in a gap",
		updates: []decode.Update{past(1, run(1, "signal", 0)), at("inactive/dead", 1, recovered())},
		want:    []string{"seen inactive", "started", "crashed signal", "caught up"},
	}, {
		name: "read twice",
		updates: []decode.Update{
			at("active/running", 2, snapshot), at("active/running", 3, restarts(1), recovered(run(2, "signal", 1), run(3, "", 0))),
			at("active/running", 3, restarts(1), recovered(run(2, "signal", 1), run(3, "", 0))), at("active/running", 3, restarts(1)),
		},
		want: []string{"seen active", "crashed signal", "restarted", "started", "caught up", "caught up"},
	}, {
		name: "a restart that NRestarts did not show, because it was zeroed before",
		updates: []decode.Update{
			at("active/running", 2, restarts(1), recovered()), at("activating/auto-restart", 2, restarts(1)), // zeroed, then 1 again
			at("inactive/dead", 3, restarts(1)), at("active/running", 3, restarts(1)),
			fromCursor(2, past(2, run(2, "success", 1), run(3, "", 0))), at("active/running", 3, restarts(1), recovered()),
		},
		want: []string{
			"seen active", "active -> activating/auto-restart", "stopped success", "activating -> inactive/dead",
			"inactive -> active/running", "started", "restarted", "restarted", "caught up",
		},
	}, {
		name: "a restart that was missed before the present run is not that run's own",
		updates: []decode.Update{
			at("active/running", 2, restarts(1), recovered()), at("activating/auto-restart", 2, restarts(1)), // zeroed, then 1 again
			at("inactive/dead", 3, restarts(1)), at("active/running", 3, restarts(1)),
			fromCursor(1, past(1, run(3, "", 0))),
			fromCursor(3, past(3, scheduled(2, run(3, "success", 1)), scheduled(3, run(4, "success", 1)), run(5, "", 0))),
		},
		want: []string{
			"seen active", "active -> activating/auto-restart", "stopped success", "activating -> inactive/dead",
			"inactive -> active/running", "started", "restarted", "stopped success", "restarted", "started", "stopped success", "restarted", "started",
		},
	}, {
		name: "restarts behind the cursor are told once",
		updates: []decode.Update{
			at("active/running", 2, recovered()),
			fromCursor(3, at("active/running", 3, restarts(7), func(u *decode.Update) { u.Since = 2 }, recovered(run(2, "signal", 3), run(3, "", 0)))),
			at("activating/auto-restart", 3, restarts(7), failed), at("activating/auto-restart", 3, restarts(8), failed),
			fromCursor(3, past(1, run(3, "exit-code", 1))),
		},
		want: []string{
			"seen active", "crashed signal", "restarted", "restarted", "restarted", "started", "caught up",
			"active -> activating/auto-restart", "crashed exit-code", "restarted",
		},
	}, {
		name: "a restart that is scheduled anew while nobody watches, because of two daemon-reloads",
		updates: []decode.Update{
			at("active/running", 2, recovered()), at("activating/auto-restart", 2, failed), at("activating/auto-restart", 2, failed, restarts(1)),
			at("activating/auto-restart", 2, failed, restarts(1), recovered()), // the cursor is behind the first
			fromCursor(3, past(3, scheduled(3, run(2, "", 2)), scheduled(4, run(3, "exit-code", 1)), run(4, "", 0))),
			at("active/running", 4, restarts(4), recovered()),
		},
		want: []string{
			"seen active", "active -> activating/auto-restart", "crashed exit-code", "restarted", "caught up",
			"restarted", "restarted", "started", "crashed exit-code", "restarted", "started", "activating -> active/running", "caught up",
		},
	}, {
		name: "a cursor that moves on",
		updates: []decode.Update{
			at("active/running", 2, snapshot), at("active/running", 2, func(u *decode.Update) { u.Cursor = "c" }), at("active/running", 2, func(u *decode.Update) { u.Cursor = "c" }),
		},
		want: []string{"seen active", "caught up"},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			var life Life
			var facts, more []Transition
			for _, u := range tt.updates {
				life, more = step(nil, life, u)
				facts = append(facts, more...)
			}
			if diff := cmp.Diff(tt.want, told(facts)); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		name           string
		cause          Cause
		exitCode, want string
	}{
		{"exit", Cause{"exit-code", exited, 203}, "203", "none"},
		{"killed", Cause{"signal", killed, 9}, "none", "9 (SIGKILL)"},
		{"dumped", Cause{"core-dump", dumped, 11}, "none", "11 (SIGSEGV)"},
		{"real time", Cause{"signal", killed, 36}, "none", "36 (SIGRTMIN+2)"},
		{"no signal of this world", Cause{"signal", killed, 99}, "none", "99"},
		{"no main process", Cause{"exit-code", 0, 0}, "none", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.cause.ExitCode(); got != tt.exitCode {
				t.Errorf("ExitCode: %s, want %s", got, tt.exitCode)
			}
			if got := tt.cause.Signal(); got != tt.want {
				t.Errorf("Signal: %s, want %s", got, tt.want)
			}
		})
	}
}

// tally is the truth of a model, or what was told.
type tally struct{ starts, stops, crashes, unknown, restarts, limits, failures int }

// ends is how many runs have ended, however they did.
func (c *tally) ends() int { return c.stops + c.crashes + c.unknown }

func (c *tally) add(facts []Transition) {
	for _, f := range facts {
		switch f.Kind {
		case Started:
			c.starts++
		case Stopped:
			c.stops++
		case Crashed:
			c.crashes++
		case UnknownEnd:
			c.unknown++
		case Restarted:
			c.restarts++
		case GaveUp:
			if f.Cause.Result == StartLimitHit {
				c.limits++
			} else {
				c.failures++
			}
		}
	}
}

// model is a unit as systemd runs it: it announces each change one to three
// times, and knows its own counts.
type model struct {
	r       *rand.Rand
	version int
	u       decode.Update
	clock   uint64
	truth   tally
	out     []decode.Update
	inner   map[int]bool // of out: announced where PID 1 answers nothing
}

func (m *model) enter(state string) {
	m.clock++
	active, sub, _ := strings.Cut(state, "/")
	m.u.ActiveState, m.u.SubState, m.u.Entered = active, sub, m.clock
	m.announce()
}

func (m *model) announce() {
	for range 1 + m.r.IntN(3) {
		m.out = append(m.out, m.u)
	}
}

// begin is systemd's start of a new invocation: announced in the old state.
func (m *model) begin() {
	if m.u.SubState == "auto-restart" {
		m.queue()
	}
	m.truth.starts++
	m.u.Invocation = decode.Invocation{byte(m.truth.starts), byte(m.truth.starts >> 8), 1}
	m.u.Result, m.u.MainCode, m.u.MainStatus = success, 0, 0
	first := len(m.out)
	m.announce()
	for i := first; i < len(m.out); i++ {
		m.inner[i] = true
	}
}

// queue waits for the job of a scheduled restart. Before 257, that job stops the unit
// first, which is not announced if a start follows at once.
func (m *model) queue() {
	if m.version >= 257 {
		m.enter("activating/auto-restart-queued")
		return
	}
	m.clock++
	m.u.ActiveState, m.u.SubState, m.u.Entered = "inactive", "dead", m.clock
}

// life runs the unit once, with what its Restart= makes of it.
func (m *model) life() {
	m.u.NRestarts = 0
	m.begin()
	for m.run() && m.r.IntN(4) > 0 {
		if m.r.IntN(6) == 0 {
			m.unscheduled()
			return
		}
		m.truth.restarts++
		m.u.NRestarts++
		m.u.Job++
		m.announce()
		if m.refused() {
			return
		}
		m.begin()
		m.u.Job = 0
	}
	if strings.HasPrefix(m.u.SubState, "auto-restart") {
		m.enter("inactive/dead") // stopped by hand while it waits
	}
	if m.r.IntN(3) == 0 {
		m.u.Result = success
		m.enter("inactive/dead") // reset-failed
	}
	if m.u.ActiveState == "inactive" && m.r.IntN(2) == 0 {
		m.clean()
	}
}

// unscheduled is a restart that cannot be scheduled.
func (m *model) unscheduled() {
	m.truth.failures++
	m.overwrite("resources")
	m.enter("failed/failed")
}

// refused may let a scheduled restart begin no run.
func (m *model) refused() bool {
	switch m.r.IntN(12) {
	case 0, 1:
		m.limit()
	case 2, 3: // what it needs has failed
		m.truth.failures++
		m.queue()
		m.announce()
		m.u.Job = 0
		first := len(m.out)
		m.announce()
		for i := first; i < len(m.out); i++ {
			m.inner[i] = m.version < 257 // a snapshot of later does not show it
		}
	case 4: // stopped while its turn has not come
		m.queue()
		m.u.Job++
		m.announce()
		m.enter("inactive/dead")
		m.u.Job = 0
		m.announce()
	default:
		return false
	}
	return true
}

// limit is a scheduled restart that the start limit refuses.
func (m *model) limit() {
	m.truth.limits++
	m.queue()
	m.overwrite(StartLimitHit)
	if m.version < 257 {
		m.announce()
	}
	m.enter("failed/failed")
	m.u.Job = 0
	m.announce()
}

// overwrite is what service_enter_dead() of systemd does to the result of a run.
func (m *model) overwrite(result string) {
	if m.u.Result == success {
		m.u.Result = result
	}
}

// clean is systemctl clean, which may fail.
func (m *model) clean() {
	m.enter("maintenance/cleaning")
	if m.r.IntN(2) == 0 {
		m.enter("inactive/dead")
		return
	}
	m.enter("maintenance/cleaning-sigterm")
	m.overwrite("timeout")
	m.enter("failed/failed")
}

// ask lets somebody ask something of a running unit that does not end it. That it is
// frozen or thawed is announced, and nothing of what matters has changed.
func (m *model) ask() {
	switch m.r.IntN(4) {
	case 0:
		m.enter("reloading/reload-signal")
		m.enter("active/running")
	case 1:
		m.enter("refreshing/refresh-extensions")
		m.enter("active/running")
	case 2:
		m.announce()
	}
}

// run runs and ends an invocation, and reports whether it waits to restart.
func (m *model) run() bool {
	switch m.r.IntN(5) {
	case 0:
		m.u.Result = "resources" // never up
	case 1:
		m.enter("activating/start-pre")
		m.enter("activating/start")
		m.enter("active/running")
	default:
		m.enter("active/running")
		m.ask()
	}
	crash := m.u.Result != success || m.r.IntN(2) == 0
	if !crash {
		return m.done()
	}
	m.truth.crashes++
	if m.u.Result == success {
		m.u.Result, m.u.MainCode, m.u.MainStatus = "exit-code", exited, 1
	}
	again := m.r.IntN(2) == 0
	direct := m.version >= 257 && m.r.IntN(2) == 0
	if !again || !direct {
		m.enter("failed/failed")
	}
	if again {
		m.enter("activating/auto-restart")
	}
	return again
}

// done ends an invocation well, and reports whether it waits to restart.
func (m *model) done() bool {
	m.truth.stops++
	m.u.MainCode = exited
	if m.r.IntN(2) == 0 {
		m.enter("deactivating/stop-sigterm")
		m.enter("inactive/dead")
		return false
	}
	if m.version < 257 || m.r.IntN(2) == 0 {
		m.enter("inactive/dead")
	}
	m.enter("activating/auto-restart")
	return true
}

// Over random lives, what is told is what happened, whatever is announced
// twice, and wherever a snapshot lies between.
func TestModel(t *testing.T) {
	for seed := range uint64(2000) {
		m := &model{r: rand.New(rand.NewPCG(seed, 1)), version: []int{252, 257}[seed%2], u: at("inactive/dead", 0, snapshot), inner: map[int]bool{}}
		m.announce()
		m.u.Kind = decode.Changed
		for range 1 + m.r.IntN(5) {
			m.life()
		}
		var got tally
		var life Life
		for i, u := range m.out {
			if m.r.IntN(10) == 0 && !m.inner[i] {
				u.Kind = decode.Snapshot
			}
			var facts []Transition
			life, facts = step(nil, life, u)
			got.add(facts)
			running := 0
			if life.Running() {
				running = 1
			}
			if got.starts != got.ends()+running {
				t.Fatalf("seed %d: %+v with %d running does not balance", seed, got, running)
			}
		}
		if got != m.truth {
			t.Fatalf("seed %d: told %+v, want %+v", seed, got, m.truth)
		}
	}
}

// Over the whole product of states, nothing panics and the counts balance.
func TestProductOfStatesBalances(t *testing.T) {
	states := []string{
		"inactive/dead", "failed/failed", "failed/failed-before-auto-restart", "inactive/dead-before-auto-restart",
		"activating/start", "activating/auto-restart", "activating/auto-restart-queued", "active/running", "active/exited",
		"deactivating/stop-sigterm", "reloading/reload", "maintenance/cleaning", "refreshing/refresh-extensions", "unheard/of",
	}
	results := []string{success, "exit-code", "start-limit-hit", "resources", ""}
	var all []decode.Update
	for _, state := range states {
		for invocation := range byte(3) {
			for _, r := range results {
				all = append(all, at(state, invocation, result(r, 0, 0)), at(state, invocation, snapshot, result(r, 0, 0), entered(1)))
			}
		}
	}
	for i, first := range all {
		for _, second := range all {
			for _, third := range []decode.Update{first, all[(i*7)%len(all)]} {
				balance(t, first, second, third)
			}
		}
	}
}

func balance(t *testing.T, updates ...decode.Update) {
	t.Helper()
	var life Life
	var got tally
	before := 0
	for i, u := range updates {
		var facts []Transition
		life, facts = step(nil, life, u)
		got.add(facts)
		running := 0
		if life.Running() {
			running = 1
		}
		if i == 0 {
			before = got.ends() + running - got.starts
		}
		if got.starts+before != got.ends()+running {
			t.Fatalf("%+v with %d running and %d before does not balance after %+v", got, running, before, updates[:i+1])
		}
	}
}

// A start whose change did not come before the stop is told at the end; an
// earlier process's knowledge is where the first snapshot is compared with.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var facts []Transition
		known := map[string]*Life{"a.service": {ActiveState: "active", SubState: "running", Invocation: decode.Invocation{1}, Ran: true}}
		g := pipeline.New(nil)
		updates := pipeline.Source(g, "player", pipelinetest.Play(
			at("active/running", 1, snapshot), at("inactive/dead", 1), at("inactive/dead", 2),
		))
		pipeline.Sink(g, "collector", pipeline.Add(g, "classify", updates, New(known, func() {})), pipelinetest.Collect(&facts))
		if err := g.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"caught up", "active -> inactive/dead", "stopped success", "started"}, told(facts)); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
	})
}

// An end that was not announced is left to the journal: until there is a snapshot,
// nothing is believed of the unit. Others are not touched.
func TestDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var facts []Transition
		doubts := 0
		other := at("active/running", 7, snapshot)
		other.Unit = "b.service"
		ended := at("failed/failed", 7, result("exit-code", exited, 1))
		ended.Unit = "b.service"
		g := pipeline.New(nil)
		updates := pipeline.Source(g, "player", pipelinetest.Play(
			at("active/running", 1, snapshot), other, at("failed/failed", 2), at("failed/failed", 2), ended,
			past(2, run(1, "signal", 0), run(2, "resources", 0)), at("failed/failed", 2, recovered()), at("active/running", 3),
		))
		pipeline.Sink(g, "collector", pipeline.Add(g, "classify", updates, New(nil, func() { doubts++ })), pipelinetest.Collect(&facts))
		if err := g.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"seen active", "seen active", "active -> failed/failed", "crashed exit-code",
			"crashed signal", "started", "crashed resources", "active -> failed/failed", "caught up", "failed -> active/running", "started",
		}
		if diff := cmp.Diff(want, told(facts)); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
		if doubts != 1 {
			t.Errorf("%d doubts, want 1", doubts)
		}
	})
}

func BenchmarkStepRepeat(b *testing.B) {
	u := at("active/running", 1)
	life, _ := step(nil, Life{}, at("active/running", 1, snapshot))
	b.ReportAllocs()
	for b.Loop() {
		life, _ = step(nil, life, u)
	}
}

// Only the end of a run has a clock, that of its own record, and a unit that
// appears with its first run.
func TestClock(t *testing.T) {
	crashed := received(4, run(1, "signal", 1))
	crashed.EndClock = 7
	u := decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Runs: []history.Run{crashed, received(9, run(2, "", 0))}, Tell: 2}}
	_, facts := step(nil, Life{}, u)
	var got []string
	for i, line := range told(facts) {
		got = append(got, fmt.Sprintf("%s %d", line, facts[i].Clock))
	}
	want := []string{"seen inactive 4", "started 0", "crashed signal 7", "restarted 0", "started 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts and their clocks (-want +got):\n%s", diff)
	}
}
