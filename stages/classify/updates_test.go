package classify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/bus"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// at returns an update from "active/running", the number of the invocation, and more.
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

func leftInactive(u *decode.Update) { u.LeftInactive = true }

func cleanable(u *decode.Update) { u.Cleanable = true }

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

// These are ways in which a run ends.
var (
	failed  = result("exit-code", exited, 1)
	exited0 = result(success, exited, 0)
	limited = result(StartLimitHit, exited, 0)
)

// recovered makes an update the snapshot after a gap that the journal covers.
func recovered(runs ...records.Run) func(*decode.Update) {
	return func(u *decode.Update) { u.Kind, u.Cursor, u.Complete, u.Runs = decode.Snapshot, "c", true, runs }
}

// unread makes an update a snapshot for which the journal could not be read.
func unread(u *decode.Update) {
	u.Kind, u.Unread, u.Boot, u.Cursor, u.Opened = decode.Snapshot, true, "b", "here", time.Unix(7, 0)
}

// lost makes the saved state lost.
func lost(u *decode.Update) { u.Lost = true }

// past returns what the journal shows in a gap. The first runs are new.
func past(newRuns int, runs ...records.Run) decode.Update {
	return decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Runs: runs, NewRuns: newRuns}}
}

// fromCursor sets where reading began to the cursor that other updates of the test have, and how
// many restarts were scheduled since then.
func fromCursor(restarts uint32, u decode.Update) decode.Update {
	return fromPlace("c", restarts, u)
}

func fromPlace(from records.Place, restarts uint32, u decode.Update) decode.Update {
	u.From, u.Restarts = from, restarts
	return u
}

func cut(how string) decode.Update {
	return decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Cut: how}}
}

// cutAt is the end of a boot that is followed by the one at a place.
func cutAt(next records.Place, how string) decode.Update {
	u := cut(how)
	u.Cursor = next
	return u
}

// inBoot makes what the journal shows part of a boot.
func inBoot(boot string, u decode.Update) decode.Update {
	u.Boot = boot
	return u
}

// lossy makes an update one for which the journal lacks something.
func lossy(u decode.Update) decode.Update {
	u.Lossy = true
	return u
}

// run returns an invocation as the journal shows it. It is running if it has no result.
func run(invocation byte, result string, scheduled uint32) records.Run {
	r := records.Run{Invocation: records.Invocation{invocation}, Begun: time.Time{}, Result: result, Scheduled: scheduled}
	if scheduled > 0 {
		r.NRestarts = uint32(invocation) - 1
	}
	if result != "" {
		r.Ended = time.Unix(2, 0)
	}
	return r
}

// scheduled returns the run with a restart after it that counted NRestarts up to n.
func scheduled(n uint32, r records.Run) records.Run {
	r.NRestarts = n
	return r
}

func refused(r records.Run) records.Run {
	r.Refused, r.Refusal = r.Ended, StartLimitHit
	return r
}

func unscheduled(r records.Run) records.Run {
	r.Refused, r.Refusal = r.Ended, resources
	return r
}

// received returns the run with the time since boot at which its first record was received.
func received(clock uint64, r records.Run) records.Run {
	r.Clock = clock
	return r
}

// lines writes facts as lines that a test compares.
func lines(facts []Transition) []string {
	var all []string
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
		if f.More > 0 {
			line += fmt.Sprintf(" %d times", f.Times())
		}
		all = append(all, line)
	}
	return all
}

// walk classifies updates, compares the facts, and returns the last life.
func walk(t *testing.T, updates []decode.Update, want []string) (life Life) {
	t.Helper()
	var facts []Transition
	for _, u := range updates {
		life, facts = step(facts, life, u)
	}
	if diff := cmp.Diff(want, lines(facts)); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	return life
}
