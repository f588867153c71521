package count

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// good is a tally without a fault: the unit has crashed twice, and runs
// again.
func good() Tally {
	return Tally{
		Unit: "a.service", State: "active", Changed: noon, Starts: 3, Stops: 1, Crashes: 2, Restarts: 2, FirstSeenRunning: 1,
		CrashCauses: []CauseCount{{"exit-code", 1}, {"signal", 1}},
		LastCrash:   &Crash{Time: noon, Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: strings.Repeat("1", 32)},
		Life:        &classify.Life{ActiveState: "active", SubState: "running", Invocation: decode.Invocation{4}, Ran: true, Scheduled: 1},
	}
}

// checks are changes of what is good, and the faults that they make.
var checks = []struct {
	name   string
	change func(*Tally)
	want   []string
}{
	{"good", func(*Tally) {}, nil},
	{"ended", func(u *Tally) { u.Life.Ended = true; u.Stops++ }, nil},
	{"announced", func(u *Tally) { u.Life.StartOwed = true; u.Stops++ }, nil},
	{"given up", func(u *Tally) { u.Life.Ended, u.Life.GivenUp = true, true; u.Stops++ }, nil},
	{"ended, and nobody knows how", func(u *Tally) { u.Life.Ended = true; u.Unknown++ }, nil},
	{"unloaded", func(u *Tally) {
		u.State, u.LoggedUnloaded = "unloaded", true
		u.Life = &classify.Life{ActiveState: "unloaded", SubState: "dead", Ended: true}
		u.Stops++
	}, nil},
	{"crashes of an imported file have no cause", func(u *Tally) { u.Crashes += 7; u.FirstSeenRunning += 7 }, nil},
	{"an imported file that counted too few starts", func(u *Tally) { u.Stops += 7; u.FirstSeenRunning += 7 }, nil},
	{"an imported file that counted too few ends", func(u *Tally) { u.Starts += 7; u.FirstSeenRunning -= 7 }, nil},
	{"an imported file, not seen yet", func(u *Tally) { *u = Tally{State: "active", Starts: 5, Stops: 9, Crashes: 7} }, nil},
	{"not seen since somebody removed its life", func(u *Tally) { u.Life = nil; u.Starts++ }, nil},

	{"up for an hour", func(u *Tally) { u.Times = Times{Spent: Spent{Up: time.Hour}, Phase: Up} }, nil},
	{"nobody knows since when it runs", func(u *Tally) { u.Times.Phase = Unobserved }, nil},
	{"longer than anything lives", func(u *Tally) { u.Times.Spent[Down] = maxSpent + time.Hour }, []string{
		"seconds has 1752001h0m0s for down, which cannot be"}},
	{"down, but it runs", func(u *Tally) { u.Times.Phase = Down }, []string{"seconds has the phase down, which does not fit to life"}},
	{"a start too many", func(u *Tally) { u.Starts++ }, []string{
		"starts 4 + running_when_first_seen 1 is not stops 1 + crashes 2 + unknown 0 + 1 running now by life"}},
	{"a stop too many", func(u *Tally) { u.Stops++ }, []string{
		"starts 3 + running_when_first_seen 1 is not stops 2 + crashes 2 + unknown 0 + 1 running now by life"}},
	{"an unknown end too many", func(u *Tally) { u.Unknown++ }, []string{
		"starts 3 + running_when_first_seen 1 is not stops 1 + crashes 2 + unknown 1 + 1 running now by life"}},
	{"a crash too many", func(u *Tally) { u.Crashes++ }, []string{
		"starts 3 + running_when_first_seen 1 is not stops 1 + crashes 3 + unknown 0 + 1 running now by life"}},
	{"first seen otherwise", func(u *Tally) { u.FirstSeenRunning = -1 }, []string{
		"starts 3 + running_when_first_seen -1 is not stops 1 + crashes 2 + unknown 0 + 1 running now by life"}},
	{"an end that is not counted", func(u *Tally) { u.Life.Ended = true }, []string{
		"starts 3 + running_when_first_seen 1 is not stops 1 + crashes 2 + unknown 0 + 0 running now by life"}},
	{"a start that is counted before it is a fact", func(u *Tally) { u.Life.StartOwed = true }, []string{
		"starts 3 + running_when_first_seen 1 is not stops 1 + crashes 2 + unknown 0 + 0 running now by life"}},
	{"a start that is missing, beside one in an open gap", func(u *Tally) {
		u.Life.Gaps = &[]classify.Gap{{After: decode.Properties{ActiveState: "active", Invocation: decode.Invocation{9}}}}
	}, []string{"starts 3 + running_when_first_seen 1 is not stops 1 + crashes 2 + unknown 0 + 1 running now by life -1 not counted yet in open gaps"}},
	{"an end that is missing, beside one in an open gap", func(u *Tally) {
		u.Life.Gaps = &[]classify.Gap{{Before: classify.Life{Invocation: decode.Invocation{9}, Ran: true}, After: decode.Properties{ActiveState: "inactive"}}}
	}, []string{"starts 3 + running_when_first_seen 1 is not stops 1 + crashes 2 + unknown 0 + 1 running now by life +1 not counted yet in open gaps"}},

	{"more starts than there can be", func(u *Tally) { u.Starts = MaxCount + 1; u.FirstSeenRunning -= MaxCount - 2 }, []string{
		"starts 9007199254740993 is more than there can have been"}},
	{"more stops than there can be", func(u *Tally) { u.Stops = MaxCount + 1; u.FirstSeenRunning += MaxCount }, []string{
		"stops 9007199254740993 is more than there can have been"}},
	{"more crashes than there can be", func(u *Tally) { u.Crashes = MaxCount + 1; u.FirstSeenRunning += MaxCount - 1 }, []string{
		"crashes 9007199254740993 is more than there can have been"}},
	{"more unknown ends than there can be", func(u *Tally) { u.Unknown = MaxCount + 1; u.FirstSeenRunning += MaxCount + 1 }, []string{
		"unknown 9007199254740993 is more than there can have been"}},
	{"more restarts than there can be", func(u *Tally) { u.Restarts = 1<<64 - 1 }, []string{
		"restarts 18446744073709551615 is more than there can have been"}},
	{"more causes than there can be", func(u *Tally) { u.CrashCauses[0].Crashes = 1<<64 - 1 }, []string{
		"crash_causes add up to 9007199254740993, more than crashes 2"}},

	{"a cause too many", func(u *Tally) { u.CrashCauses[0].Crashes++ }, []string{"crash_causes add up to 3, more than crashes 2"}},
	{"causes without crashes, not seen yet", func(u *Tally) { u.Life, u.Crashes = nil, 1 }, []string{
		"crash_causes add up to 2, more than crashes 1"}},
	{"a stop among the causes", func(u *Tally) { u.CrashCauses[0].Result = "success" }, []string{`crash_causes has "success", which is no crash`}},
	{"a last crash without crashes", func(u *Tally) { u.CrashCauses = nil }, []string{
		`last_crash has the result "signal", crash_causes has not`}},
	{"a last crash of another cause", func(u *Tally) { u.LastCrash.Cause.Result = "watchdog" }, []string{
		`last_crash has the result "watchdog", crash_causes has not`}},
	{"crashes without a last crash", func(u *Tally) { u.LastCrash = nil }, []string{"last_crash is missing, but crash_causes add up to 2"}},

	{"no state", func(u *Tally) { *u = Tally{} }, []string{"last_state is missing"}},
	{"another state", func(u *Tally) { u.State = "failed" }, []string{`last_state "failed" is not life's active_state "active"`}},
	{"logged as unloaded, but it is loaded", func(u *Tally) { u.LoggedUnloaded = true }, []string{`logged_unloaded is true, but last_state is "active"`}},
	{"unloaded, but not logged", func(u *Tally) { u.State, u.Life.ActiveState = "unloaded", "unloaded" }, []string{
		`logged_unloaded is false, but last_state is "unloaded"`}},
	{"runs without an invocation", func(u *Tally) { u.Life.Invocation = decode.Invocation{}; u.Stops++ }, []string{
		"life has no invocation, but ended is not true"}},
	{"ended before its start was a fact", func(u *Tally) { u.Life.StartOwed, u.Life.Ended = true, true; u.Stops++ }, []string{
		"life has both untold and ended"}},
	{"given up while it runs", func(u *Tally) { u.Life.GivenUp = true }, []string{"life has given_up, but ended is not true"}},
	{"restarts too few", func(u *Tally) { u.Restarts = 0 }, []string{"restarts 0 is less than life's scheduled 1"}},
}

// TestCheck changes what is good.
func TestCheck(t *testing.T) {
	for _, tt := range checks {
		t.Run(tt.name, func(t *testing.T) {
			tally := good()
			tt.change(&tally)
			if diff := cmp.Diff(tt.want, tally.Check()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// world is a service manager that says anything at all of its units, in any
// order, but for one thing: a run that failed does not come up again.
type world struct {
	r      *rand.Rand
	nth    uint16 // the newest run of all
	runs   map[string]uint16
	failed map[string]bool
	said   []decode.Update
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *world) invocation(nth uint16) decode.Invocation {
	return decode.Invocation{byte(nth >> 8), byte(nth)}
}

func (w *world) begin(unit string) decode.Invocation {
	w.nth++
	w.runs[unit], w.failed[unit] = w.nth, false
	return w.invocation(w.nth)
}

// say says something of a unit.
func (w *world) say(unit string) {
	r := w.r
	u := decode.Update{Unit: unit, Time: noon, Kind: one(r, decode.Changed, decode.Changed, decode.Snapshot)}
	u.LoadState = one(r, "loaded", "loaded", "not-found", "bad-setting", "masked")
	u.ActiveState, u.SubState, _ = strings.Cut(one(r,
		"inactive/dead", "failed/failed", "failed/failed-before-auto-restart", "activating/start", "activating/auto-restart",
		"activating/auto-restart-queued", "active/running", "active/running", "active/exited", "deactivating/stop-sigterm",
		"reloading/reload", "refreshing/refresh-extensions", "maintenance/cleaning", "maintenance/cleaning-sigterm", "unheard/of"), "/")
	u.Result, u.NRestarts, u.Entered, u.Job = w.result(), r.Uint32N(3), r.Uint64N(3), r.Uint32N(3)
	if r.IntN(4) == 0 {
		w.past(unit)
	}
	if u.Kind == decode.Snapshot && r.IntN(2) == 0 {
		u.Cursor, u.Complete, u.Runs = records.Place(fmt.Sprint(len(w.said))), r.IntN(2) == 0, w.history(unit)
	}
	down := slices.Contains([]string{"inactive", "failed", "maintenance"}, u.ActiveState) || strings.HasPrefix(u.SubState, "auto-restart")
	u.Invocation = w.invocation(one(r, 0, w.runs[unit], w.runs[unit], w.runs[unit]))
	if r.IntN(3) == 0 || w.failed[unit] && !down {
		u.Invocation = w.begin(unit)
	}
	if u.ActiveState == "failed" {
		w.failed[unit] = true
	}
	if r.IntN(50) == 0 {
		u.Kind = decode.Forgotten
	}
	w.said = append(w.said, u)
}

func (w *world) result() string {
	return one(w.r, "success", "exit-code", "signal", "exec-condition", "start-limit-hit", "resources", "")
}

// past is the journal's, of a unit or of the end of a boot.
func (w *world) past(unit string) {
	u := decode.Update{Kind: decode.Past, Unit: unit, Time: noon}
	if w.r.IntN(3) == 0 {
		u.Cut = one(w.r, records.Shutdown, records.PowerLoss, records.Unknown)
	} else {
		u.Runs = w.history(unit)
		u.NewRuns = w.r.IntN(len(u.Runs) + 1)
	}
	w.said = append(w.said, u)
}

// history is what the journal has: the last runs, or new ones. It may lack the
// end of some.
func (w *world) history(unit string) (runs []records.Run) {
	nth := w.runs[unit] - min(w.runs[unit], 1)
	for range w.r.IntN(5) {
		run := records.Run{Invocation: w.invocation(nth), Begun: noon, Clock: w.r.Uint64N(3)}
		if w.r.IntN(4) > 0 {
			run.Ended, run.Result, run.Scheduled, run.NRestarts = noon, w.result(), w.r.Uint32N(3), w.r.Uint32N(3)
		}
		if w.r.IntN(4) == 0 && !run.Ended.IsZero() {
			run.Refused, run.Refusal = noon, one(w.r, "start-limit-hit", "resources")
		}
		if nth != 0 {
			runs = append(runs, run)
		}
		if nth++; nth > w.runs[unit] {
			w.begin(unit)
			nth = w.nth
		}
	}
	return runs
}

// auditor checks what is counted after each event, and keeps it.
type auditor struct {
	imported bool
	known    map[string]*Tally
	saved    []map[string]*Tally // after each event
}

func (a *auditor) check(e Event) error {
	if e.Kind == classify.Forgotten {
		delete(a.known, e.Unit)
	} else if err := a.audit(e.Tally); err != nil {
		return fmt.Errorf("event %d: %w", len(a.saved), err)
	}
	a.saved = append(a.saved, maps.Clone(a.known))
	return nil
}

func (a *auditor) audit(is *Tally) error {
	was := a.known[is.Unit]
	if was == nil {
		was = new(Tally)
	}
	a.known[is.Unit] = is
	for _, p := range Phases {
		if is.Times.Spent[p] < was.Times.Spent[p] {
			return fmt.Errorf("%v %s goes down to %v", was.Times.Spent[p], p, is.Times.Spent[p])
		}
	}
	switch faults := is.Check(); {
	case faults != nil:
		return fmt.Errorf("%q: %+v", faults, is)
	case !a.imported && is.FirstSeenRunning != 0 && is.FirstSeenRunning != 1:
		return fmt.Errorf("%d were running when first seen: %+v", is.FirstSeenRunning, is)
	case is.Starts < was.Starts || is.ends() < was.ends() || is.Stops < was.Stops || is.Crashes < was.Crashes || is.Unknown < was.Unknown || is.Restarts < was.Restarts:
		return fmt.Errorf("%+v goes down to %+v", was, is)
	}
	return nil
}

// Whatever a service manager says, and whenever the monitor is killed and goes
// on from what it had saved, the counts balance after each event.
func TestWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 3))
			w := &world{r: r, runs: make(map[string]uint16), failed: make(map[string]bool)}
			known := make(map[string]*Tally)
			imported := seed%2 == 0
			if imported {
				known["a.service"] = &Tally{Unit: "a.service", State: "active", Starts: r.Uint64N(9), Stops: r.Uint64N(9), Crashes: r.Uint64N(9)}
			}
			for range 3 {
				w.said = nil
				for range 100 {
					w.say(one(r, "a.service", "b.service"))
				}
				a := &auditor{imported: imported, known: maps.Clone(known)}
				if err := walk(t.Context(), w, known, a); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				known = one(r, a.saved...)
			}
		}
	})
}

// walk runs the middle of a monitor.
func walk(ctx context.Context, w *world, known map[string]*Tally, a *auditor) error {
	lives := make(map[string]*classify.Life)
	for unit, tally := range known {
		lives[unit] = tally.Life
	}
	g := pipeline.New(nil)
	facts := pipeline.Add(g, "classify", pipeline.Source(g, "world", pipelinetest.Play(w.said...)), classify.New(lives, func() {}))
	pipeline.Sink(g, "auditor", pipeline.Add(g, "count", facts, New(quiet, known, Now())), pipelinetest.Check(a.check))
	return g.Run(ctx)
}
