package count

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

var noon = time.Date(2025, 7, 7, 12, 0, 0, 0, time.UTC)

const (
	boot = "0123456789abcdef0123456789abcdef"
	hour = 3_600_000_000 // in µs
)

// quiet is a log that nobody reads.
var quiet = &logrus.Logger{Out: io.Discard, Formatter: &logrus.TextFormatter{}}

// keeper is one that has begun at noon, an hour after the machine.
func keeper(known map[string]*Tally) *Stage { return New(quiet, known, Moment{noon, hour, boot}) }

// counted counts a transition, and returns the tally of its unit.
func counted(s *Stage, t classify.Transition) Tally {
	events := s.count(nil, t, noon)
	return *events[len(events)-1].Tally
}

// life is that of a unit in its nth invocation, which runs or has ended.
func life(nth byte, running bool) *classify.Life {
	return &classify.Life{ActiveState: "active", Invocation: decode.Invocation{nth}, Ran: true, Ended: !running}
}

func crash(result string) classify.Transition {
	return classify.Transition{
		Kind: classify.Crashed, Unit: "a.service", Time: noon.Add(time.Minute),
		Invocation: decode.Invocation{1}, Cause: classify.Cause{Result: result, Code: 1, Status: 3}, Life: life(1, false),
	}
}

func TestStep(t *testing.T) {
	earlier := noon.Add(-time.Hour)
	of := func(k classify.Kind, to string, l *classify.Life) classify.Transition {
		return classify.Transition{Kind: k, Unit: "a.service", Time: noon, To: to, Life: l}
	}
	for _, tt := range []struct {
		name string
		was  Tally
		told classify.Transition
		want Tally
	}{{
		name: "seen down",
		told: of(classify.Seen, "inactive", life(0, false)),
		want: Tally{State: "inactive", Changed: noon},
	}, {
		name: "seen running",
		told: of(classify.Seen, "active", life(1, true)),
		want: Tally{State: "active", Changed: noon, Before: 1},
	}, {
		name: "seen, and systemd does not have it",
		told: of(classify.Seen, "unloaded", life(0, false)),
		want: Tally{State: "unloaded", Changed: noon, Told: true},
	}, {
		name: "imported, in the state that the file tells of",
		was:  Tally{State: "active", Changed: earlier, Starts: 5, Stops: 4},
		told: of(classify.Seen, "active", life(1, true)),
		want: Tally{State: "active", Changed: earlier, Starts: 5, Stops: 4},
	}, {
		name: "imported, in another state",
		was:  Tally{State: "active", Changed: earlier, Starts: 5, Stops: 4},
		told: of(classify.Seen, "failed", life(1, false)),
		want: Tally{State: "failed", Changed: noon, Starts: 5, Stops: 4, Before: -1},
	}, {
		name: "imported without a time",
		was:  Tally{State: "active", Starts: 5, Stops: 4},
		told: of(classify.Seen, "active", life(1, true)),
		want: Tally{State: "active", Changed: noon, Starts: 5, Stops: 4},
	}, {
		name: "imported, counted more ends than starts",
		was:  Tally{State: "inactive", Changed: earlier, Starts: 1, Stops: 2, Crashes: 3},
		told: of(classify.Seen, "active", life(1, true)),
		want: Tally{State: "active", Changed: noon, Starts: 1, Stops: 2, Crashes: 3, Before: 5},
	}, {
		name: "loaded at last",
		was:  Tally{State: "unloaded", Changed: earlier, Told: true},
		told: of(classify.Moved, "inactive", life(0, false)),
		want: Tally{State: "inactive", Changed: noon},
	}, {
		name: "moved between sub states",
		was:  Tally{State: "active", Changed: earlier},
		told: of(classify.Moved, "active", life(1, true)),
		want: Tally{State: "active", Changed: earlier},
	}, {
		name: "started",
		was:  Tally{State: "active", Changed: earlier, Starts: 1},
		told: of(classify.Started, "active", life(2, true)),
		want: Tally{State: "active", Changed: earlier, Starts: 2},
	}, {
		name: "stopped",
		was:  Tally{State: "active", Changed: earlier, Starts: 1},
		told: of(classify.Stopped, "inactive", life(1, false)),
		want: Tally{State: "active", Changed: earlier, Starts: 1, Stops: 1},
	}, {
		name: "crashed",
		was:  Tally{State: "failed", Changed: earlier, Starts: 1},
		told: crash("exit-code"),
		want: Tally{
			State: "failed", Changed: earlier, Starts: 1, Crashes: 1, Causes: []CauseCount{{"exit-code", 1}},
			LastCrash: &Crash{Time: noon.Add(time.Minute), Cause: classify.Cause{Result: "exit-code", Code: 1, Status: 3}, Invocation: "01" + strings.Repeat("0", 30)},
		},
	}, {
		name: "ended, and nothing tells how",
		was:  Tally{State: "active", Changed: earlier, Starts: 1},
		told: of(classify.UnknownEnd, "inactive", life(1, false)),
		want: Tally{State: "active", Changed: earlier, Starts: 1, Unknown: 1},
	}, {
		name: "restarted",
		was:  Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1},
		told: of(classify.Restarted, "activating", life(1, false)),
		want: Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1, Restarts: 1},
	}, {
		name: "restarted, and what it began is over",
		was:  Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1},
		told: missed(of(classify.Restarted, "activating", life(1, false))),
		want: Tally{State: "activating", Changed: earlier, Starts: 2, Unknown: 1, Crashes: 1, Restarts: 1},
	}, {
		name: "gave up",
		was:  Tally{State: "failed", Changed: earlier, Starts: 1, Crashes: 1},
		told: of(classify.GaveUp, "failed", life(1, false)),
		want: Tally{State: "failed", Changed: earlier, Starts: 1, Crashes: 1},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Unit, tt.want.Life = "a.service", tt.told.Life
			if diff := cmp.Diff(tt.want, step(tt.was, Event{Transition: tt.told}, boot)); diff != "" {
				t.Errorf("tally (-want +got):\n%s", diff)
			}
		})
	}
}

func missed(t classify.Transition) classify.Transition {
	t.Missed = true
	return t
}

// A crash in a gap that was open is told after the ones that were watched since.
func TestLastCrashOfAGap(t *testing.T) {
	s := keeper(nil)
	counted(s, crash("signal"))
	old := crash("exit-code")
	old.Recovered, old.Time, old.Clock = true, noon, hour/2
	if got := counted(s, old); got.Crashes != 2 || got.LastCrash.Cause.Result != "signal" {
		t.Errorf("%d crashes, the last %+v", got.Crashes, got.LastCrash)
	}
}

// Tallies are on their way to others while the next crash is counted.
func TestCausesAreNotShared(t *testing.T) {
	s := keeper(nil)
	first := counted(s, crash("exit-code"))
	second := counted(s, crash("signal"))
	third := counted(s, crash("exit-code"))
	got := [][]CauseCount{first.Causes, second.Causes, third.Causes}
	want := [][]CauseCount{{{"exit-code", 1}}, {{"exit-code", 1}, {"signal", 1}}, {{"exit-code", 2}, {"signal", 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

// lived is a random unit life as the classifier tells it.
type lived struct {
	r       *rand.Rand
	unit    string
	state   string
	nth     byte
	running bool
	told    []classify.Transition
}

func (l *lived) tell(k classify.Kind) {
	if k == classify.Seen || k == classify.Moved {
		l.state = []string{"active", "failed", "unloaded"}[l.r.IntN(3)]
	}
	now := life(l.nth, l.running)
	now.ActiveState = l.state
	l.told = append(l.told, classify.Transition{
		Kind: k, Unit: l.unit, Time: noon, To: l.state,
		Cause: classify.Cause{Result: []string{"exit-code", "signal", "watchdog"}[l.r.IntN(3)]}, Life: now,
	})
}

func (l *lived) live(facts int) {
	for range facts {
		switch k := classify.Kind(l.r.IntN(int(classify.Forgotten))); {
		case k == classify.Started && !l.running:
			l.running = true
			l.nth++
			l.tell(k)
		case (k == classify.Stopped || k == classify.Crashed || k == classify.UnknownEnd) && l.running:
			l.running = false
			l.tell(k)
		case k == classify.Moved || k == classify.Restarted || k == classify.GaveUp:
			l.tell(k)
		}
	}
}

// What starts and what ends balance after every fact, whatever the counters of
// an imported file; no counter goes down; and every crash has a cause.
func TestConservation(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 2))
		imported := Tally{Unit: "a.service", Starts: r.Uint64N(9), Stops: r.Uint64N(9), Crashes: r.Uint64N(9)}
		if seed%2 == 0 {
			imported = Tally{}
		}
		l := lived{r: r, unit: "a.service", nth: 1, running: r.IntN(2) == 0}
		l.tell(classify.Seen)
		l.live(60)
		s := keeper(map[string]*Tally{"a.service": &imported})
		was := imported
		for i, fact := range l.told {
			got := counted(s, fact)
			if faults := got.Check(); faults != nil {
				t.Fatalf("seed %d: %q of %+v after fact %d", seed, faults, got, i)
			}
			if got.Starts < was.Starts || got.Stops < was.Stops || got.Crashes < was.Crashes || got.Restarts < was.Restarts {
				t.Fatalf("seed %d: %+v goes down to %+v", seed, was, got)
			}
			was = got
		}
		var caused uint64
		for _, c := range was.Causes {
			caused += c.Crashes
		}
		if caused != was.Crashes-imported.Crashes {
			t.Fatalf("seed %d: causes %+v of %d crashes, %d of them imported", seed, was.Causes, was.Crashes, imported.Crashes)
		}
	}
}

func TestStatus(t *testing.T) {
	crashed := func(unit, state string, ago time.Duration) Tally {
		return Tally{Unit: unit, State: state, Crashes: 1, LastCrash: &Crash{Time: noon.Add(-ago)}}
	}
	for _, tt := range []struct {
		name  string
		units []Tally
		want  string
	}{
		{"nothing", nil, ""},
		{"states", []Tally{
			{Unit: "a", State: "active"}, {Unit: "b", State: "reloading"}, {Unit: "c", State: "activating"}, {Unit: "d", State: "failed"}, {Unit: "e", State: "unloaded"},
		}, "watching 5 services, 2 active"},
		{"the last crash of all", []Tally{crashed("a", "active", 3*time.Hour), crashed("b", "failed", 3*time.Minute), {Unit: "c", State: "active"}},
			"watching 3 services, 2 active, last crash b 3 min ago"},
		{"crashes of an imported file", []Tally{{Unit: "a", State: "active", Crashes: 7}}, "watching 1 services, 1 active"},
		{"seconds", []Tally{crashed("a", "active", time.Minute-1)}, "watching 1 services, 1 active, last crash a just now"},
		{"it is told from after now", []Tally{crashed("a", "active", -time.Hour)}, "watching 1 services, 1 active, last crash a"},
		{"a minute", []Tally{crashed("a", "active", time.Minute)}, "watching 1 services, 1 active, last crash a 1 min ago"},
		{"nearly an hour", []Tally{crashed("a", "active", time.Hour-1)}, "watching 1 services, 1 active, last crash a 59 min ago"},
		{"an hour", []Tally{crashed("a", "active", time.Hour)}, "watching 1 services, 1 active, last crash a 1 h ago"},
		{"nearly two days", []Tally{crashed("a", "active", 48*time.Hour-1)}, "watching 1 services, 1 active, last crash a 47 h ago"},
		{"days", []Tally{crashed("a", "active", 60*time.Hour)}, "watching 1 services, 1 active, last crash a 2 days ago"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := make(map[string]*Tally)
			for _, tally := range tt.units {
				known[tally.Unit] = &tally
			}
			if got := keeper(known).status(Moment{noon, hour, boot}); got != tt.want {
				t.Errorf("status (-want +got):\n-%s\n+%s", tt.want, got)
			}
		})
	}
}

// Every transition is an event, the counters of a unit that is forgotten begin
// anew, what an earlier process counted goes on, and the status follows.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fact := func(k classify.Kind, unit, to string) classify.Transition {
			return classify.Transition{Kind: k, Unit: unit, To: to, Time: time.Now(), Cause: classify.Cause{Result: "signal"}}
		}
		facts := pipelinetest.PlayEvery(time.Second,
			fact(classify.Moved, "a.service", "active"), fact(classify.Started, "a.service", "active"),
			fact(classify.Crashed, "a.service", "failed"), fact(classify.Forgotten, "a.service", ""),
			fact(classify.Seen, "a.service", "active"),
		)
		var got []string
		n := pipelinetest.NewNotifier(0)
		g := pipeline.New(n)
		known := map[string]*Tally{"a.service": {Unit: "a.service", Starts: 7}, "b.service": {Unit: "b.service", State: "active"}}
		events := pipeline.Add(g, "count", pipeline.Source(g, "player", facts), New(quiet, known, Now()))
		pipeline.Sink(g, "collector", events, pipelinetest.Each(func(e Event) {
			got = append(got, fmt.Sprintf("%d %s %d %d", e.Kind, e.Unit, e.Tally.Starts, e.Tally.Crashes))
		}))
		stop, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		want := []string{"1 a.service 7 0", "2 a.service 8 0", "4 a.service 8 1", "8 a.service 8 1", "0 a.service 0 0"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events: kind, unit, starts, crashes (-want +got):\n%s", diff)
		}
		status := []string{
			"0s watching 2 services, 1 active",
			"1s watching 2 services, 2 active",
			"3s watching 2 services, 2 active, last crash a.service just now",
			"4s watching 1 services, 1 active",
			"5s watching 2 services, 2 active",
			"30s saving and stopping",
		}
		if diff := cmp.Diff(status, n.Statuses()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// What a glob named and is over is in the sums of the glob, which balance.
func TestFold(t *testing.T) {
	s := keeper(nil)
	end := func(unit string, nth byte, k classify.Kind, result string) []Event {
		l := life(nth, false)
		l.ActiveState = "inactive"
		var last []Event
		for _, t := range []classify.Transition{
			{Kind: classify.Seen, Unit: unit, To: "inactive", Time: noon, Life: &classify.Life{ActiveState: "inactive", Ended: true}},
			{Kind: classify.Started, Unit: unit, To: "inactive", Time: noon, Life: life(nth, true)},
			{Kind: k, Unit: unit, To: "inactive", Time: noon.Add(time.Duration(nth) * time.Second), Cause: classify.Cause{Result: result}, Life: l},
			{Kind: classify.Folded, Unit: unit, Glob: "run-*.service", Time: noon, Life: l},
		} {
			last = s.count(nil, t, noon)
		}
		return last
	}
	end("run-1.service", 1, classify.Crashed, "signal")
	end("run-2.service", 2, classify.Stopped, "success")
	events := end("run-3.service", 3, classify.Crashed, "exit-code")
	if len(events) != 2 || events[0].Unit != "run-3.service" || events[1].Unit != "run-*.service" || events[0].Tally != events[1].Tally {
		t.Fatalf("events: %+v", events)
	}
	got := *events[0].Tally
	want := Tally{
		Unit: "run-*.service", State: "unloaded", Changed: noon, Told: true, Starts: 3, Stops: 1, Crashes: 2, Folded: 3,
		Causes:    []CauseCount{{"signal", 1}, {"exit-code", 1}},
		LastCrash: got.LastCrash,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.LastCrash.Cause.Result != "exit-code" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	if faults := got.Check(); faults != nil {
		t.Errorf("%q", faults)
	}
	if len(s.units) != 1 {
		t.Errorf("%d tallies are kept", len(s.units))
	}
}
