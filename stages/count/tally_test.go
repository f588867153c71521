package count

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
)

var earlier = noon.Add(-time.Hour)

// fact returns a transition at noon.
func fact(k classify.Kind, to string, l *classify.Life) classify.Transition {
	return classify.Transition{Kind: k, Unit: "a.service", Time: noon, To: to, Life: l}
}

// steps are transitions, with the tally before and after each.
var steps = []struct {
	name string
	was  Tally
	fact classify.Transition
	want Tally
}{{
	name: "seen down",
	fact: fact(classify.Seen, "inactive", life(0, false)),
	want: Tally{State: "inactive", Changed: noon},
}, {
	name: "seen running",
	fact: fact(classify.Seen, "active", life(1, true)),
	want: Tally{State: "active", Changed: noon, FirstSeenRunning: 1},
}, {
	name: "seen, and systemd does not have it",
	fact: fact(classify.Seen, "unloaded", life(0, false)),
	want: Tally{State: "unloaded", Changed: noon, LoggedUnloaded: true},
}, {
	name: "imported, in the state that the file has",
	was:  Tally{State: "active", Changed: earlier, Starts: 5, Stops: 4},
	fact: fact(classify.Seen, "active", life(1, true)),
	want: Tally{State: "active", Changed: earlier, Starts: 5, Stops: 4},
}, {
	name: "imported, in another state",
	was:  Tally{State: "active", Changed: earlier, Starts: 5, Stops: 4},
	fact: fact(classify.Seen, "failed", life(1, false)),
	want: Tally{State: "failed", Changed: noon, Starts: 5, Stops: 4, FirstSeenRunning: -1},
}, {
	name: "imported without a time",
	was:  Tally{State: "active", Starts: 5, Stops: 4},
	fact: fact(classify.Seen, "active", life(1, true)),
	want: Tally{State: "active", Changed: noon, Starts: 5, Stops: 4},
}, {
	name: "imported, counted more ends than starts",
	was:  Tally{State: "inactive", Changed: earlier, Starts: 1, Stops: 2, Crashes: 3},
	fact: fact(classify.Seen, "active", life(1, true)),
	want: Tally{State: "active", Changed: noon, Starts: 1, Stops: 2, Crashes: 3, FirstSeenRunning: 5},
}, {
	name: "loaded at last",
	was:  Tally{State: "unloaded", Changed: earlier, LoggedUnloaded: true},
	fact: fact(classify.Moved, "inactive", life(0, false)),
	want: Tally{State: "inactive", Changed: noon},
}, {
	name: "moved between sub states",
	was:  Tally{State: "active", Changed: earlier},
	fact: fact(classify.Moved, "active", life(1, true)),
	want: Tally{State: "active", Changed: earlier},
}, {
	name: "started",
	was:  Tally{State: "active", Changed: earlier, Starts: 1},
	fact: fact(classify.Started, "active", life(2, true)),
	want: Tally{State: "active", Changed: earlier, Starts: 2},
}, {
	name: "stopped",
	was:  Tally{State: "active", Changed: earlier, Starts: 1},
	fact: fact(classify.Stopped, "inactive", life(1, false)),
	want: Tally{State: "active", Changed: earlier, Starts: 1, Stops: 1},
}, {
	name: "crashed",
	was:  Tally{State: "failed", Changed: earlier, Starts: 1},
	fact: crash("exit-code"),
	want: Tally{
		State: "failed", Changed: earlier, Starts: 1, Crashes: 1, CrashCauses: []CauseCount{{"exit-code", 1}},
		LastCrash: &Crash{Time: noon.Add(time.Minute), Cause: classify.Cause{Result: "exit-code", Code: 1, Status: 3}, Invocation: "01" + strings.Repeat("0", 30)},
	},
}, {
	name: "ended, and nobody knows how",
	was:  Tally{State: "active", Changed: earlier, Starts: 1},
	fact: fact(classify.UnknownEnd, "inactive", life(1, false)),
	want: Tally{State: "active", Changed: earlier, Starts: 1, Unknown: 1},
}, {
	name: "restarted",
	was:  Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1},
	fact: fact(classify.Restarted, "activating", life(1, false)),
	want: Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1, Restarts: 1},
}, {
	name: "restarted, and what it began is over",
	was:  Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1},
	fact: missed(fact(classify.Restarted, "activating", life(1, false))),
	want: Tally{State: "activating", Changed: earlier, Starts: 2, Unknown: 1, Crashes: 1, Restarts: 1},
}, {
	name: "restarted very often, and what that began is over",
	was:  Tally{State: "activating", Changed: earlier, Starts: 1, Crashes: 1},
	fact: often(1000, missed(fact(classify.Restarted, "activating", life(1, false)))),
	want: Tally{State: "activating", Changed: earlier, Starts: 1001, Unknown: 1000, Crashes: 1, Restarts: 1000},
}, {
	name: "gave up",
	was:  Tally{State: "failed", Changed: earlier, Starts: 1, Crashes: 1},
	fact: fact(classify.GaveUp, "failed", life(1, false)),
	want: Tally{State: "failed", Changed: earlier, Starts: 1, Crashes: 1},
}}

func TestStep(t *testing.T) {
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Unit, tt.want.Life = "a.service", tt.fact.Life
			if diff := cmp.Diff(tt.want, step(tt.was, Event{Transition: tt.fact}, boot)); diff != "" {
				t.Errorf("tally (-want +got):\n%s", diff)
			}
		})
	}
}

func often(n uint32, t classify.Transition) classify.Transition {
	t.More = n - 1
	return t
}

func missed(t classify.Transition) classify.Transition {
	t.Missed = true
	return t
}

// A crash in an open gap is counted after the crashes that were watched since.
func TestLastCrashOfAGap(t *testing.T) {
	s := keeper(nil)
	counted(s, crash("signal"))
	old := crash("exit-code")
	old.Recovered, old.Time, old.Clock = true, noon, hour/2
	if got := counted(s, old); got.Crashes != 2 || got.LastCrash.Cause.Result != "signal" {
		t.Errorf("%d crashes, the last %+v", got.Crashes, got.LastCrash)
	}
}

// A crash in an open gap that only a snapshot proves has no time of its own. It is older than what was watched
// since, and newer than what was known before.
func TestLastCrashProvenOfAGap(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known time.Time
		want  string
	}{
		{"the known one came since", noon, "signal"},
		{"the known one is older", noon.Add(-2 * time.Hour), "exit-code"},
	} {
		s := keeper(nil)
		known := crash("signal")
		known.Time = tt.known
		counted(s, known)
		proven := crash("exit-code")
		proven.InGap, proven.Time = true, noon.Add(time.Minute)
		proven.Life = &classify.Life{ActiveState: "active", Opened: noon.Add(-time.Hour)}
		if got := counted(s, proven); got.Crashes != 2 || got.LastCrash.Cause.Result != tt.want {
			t.Errorf("%s: %d crashes, the last %+v", tt.name, got.Crashes, got.LastCrash)
		}
	}
}

// What happened in an open gap says nothing about the clock, however long ago it was.
func TestGapSetsNoClock(t *testing.T) {
	log, hook := logtest.NewNullLogger()
	s := New(log, nil, Moment{noon, hour, "b"})
	e := crash("signal")
	s.count(nil, e, noon)
	old := crash("exit-code")
	old.InGap, old.Time, old.Clock = true, noon.Add(-10*time.Minute), 0
	s.count(nil, old, noon)
	s.count(nil, e, noon)
	for _, line := range hook.AllEntries() {
		t.Errorf("logged %q", line.Message)
	}
}

// Tallies are on their way to others while the next crash is counted.
func TestCausesAreNotShared(t *testing.T) {
	s := keeper(nil)
	first := counted(s, crash("exit-code"))
	second := counted(s, crash("signal"))
	third := counted(s, crash("exit-code"))
	got := [][]CauseCount{first.CrashCauses, second.CrashCauses, third.CrashCauses}
	want := [][]CauseCount{{{"exit-code", 1}}, {{"exit-code", 1}, {"signal", 1}}, {{"exit-code", 2}, {"signal", 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

// lived is a random life of a unit, as the classifier has it.
type lived struct {
	r       *rand.Rand
	unit    string
	state   string
	nth     byte
	running bool
	facts   []classify.Transition
}

func (l *lived) add(k classify.Kind) {
	if k == classify.Seen || k == classify.Moved {
		l.state = []string{"active", "failed", "unloaded"}[l.r.IntN(3)]
	}
	now := life(l.nth, l.running)
	now.ActiveState = l.state
	l.facts = append(l.facts, classify.Transition{
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
			l.add(k)
		case (k == classify.Stopped || k == classify.Crashed || k == classify.UnknownEnd) && l.running:
			l.running = false
			l.add(k)
		case k == classify.Moved || k == classify.Restarted || k == classify.GaveUp:
			l.add(k)
		}
	}
}

// What starts and what ends balance after every fact, whatever the counters of
// an imported file; no counter goes down; and every crash has a cause.
func TestConservation(t *testing.T) {
	for seed := range pipelinetest.Seeds(1000) {
		r := rand.New(rand.NewPCG(seed, 2))
		imported := Tally{Unit: "a.service", Starts: r.Uint64N(9), Stops: r.Uint64N(9), Crashes: r.Uint64N(9)}
		if seed%2 == 0 {
			imported = Tally{}
		}
		l := lived{r: r, unit: "a.service", nth: 1, running: r.IntN(2) == 0}
		l.add(classify.Seen)
		l.live(60)
		s := keeper(map[string]*Tally{"a.service": &imported})
		was := imported
		for i, fact := range l.facts {
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
		for _, c := range was.CrashCauses {
			caused += c.Crashes
		}
		if caused != was.Crashes-imported.Crashes {
			t.Fatalf("seed %d: causes %+v of %d crashes, %d of them imported", seed, was.CrashCauses, was.Crashes, imported.Crashes)
		}
	}
}
