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

func reentered(u *decode.Update) { u.Reentered = true }

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

// recovered makes a snapshot one behind which the journal was read.
func recovered(runs ...records.Run) func(*decode.Update) {
	return func(u *decode.Update) { u.Kind, u.Cursor, u.Complete, u.Runs = decode.Snapshot, "c", true, runs }
}

// unread makes an update a snapshot for which the journal could not be read.
func unread(u *decode.Update) {
	u.Kind, u.Unread, u.Boot, u.Cursor, u.Opened = decode.Snapshot, true, "b", "here", time.Unix(7, 0)
}

// lost says that what was known before is lost.
func lost(u *decode.Update) { u.Lost = true }

// past is what the journal tells by itself. Of the runs, the first are to be told.
func past(tell int, runs ...records.Run) decode.Update {
	return decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Runs: runs, News: tell}}
}

// fromCursor makes an update one of what was read from the cursor of the others
// of a test, since which some restarts were scheduled.
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

// inBoot is what the journal tells of a boot.
func inBoot(boot string, u decode.Update) decode.Update {
	u.Boot = boot
	return u
}

// lossy makes an update one of which the journal lacks something.
func lossy(u decode.Update) decode.Update {
	u.Lossy = true
	return u
}

// run is what the journal tells of an invocation; it is running without a result.
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

// scheduled is a run after which NRestarts was counted up to n.
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

// received is a run whose first record was received at a time since boot.
func received(clock uint64, r records.Run) records.Run {
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

// walk classifies updates, compares what is told, and returns the life in the end.
func walk(t *testing.T, updates []decode.Update, want []string) (life Life) {
	t.Helper()
	var facts []Transition
	for _, u := range updates {
		life, facts = step(facts, life, u)
	}
	if diff := cmp.Diff(want, told(facts)); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	return life
}
