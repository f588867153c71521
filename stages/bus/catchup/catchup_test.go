package catchup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"service-monitor/pipeline/pipelinetest"

	"github.com/google/go-cmp/cmp"
)

// TestEveryPair says of each phase and each input where they lead. What is not listed is
// ignored.
func TestEveryPair(t *testing.T) {
	want := map[string]string{
		"watching, missed":           "marking: begin, drop, leave mark",
		"watching, compare":          "marking: begin, drop, leave mark",
		"watching, synced":           "watching",
		"watching, retry due":        "watching: try",
		"watching, try succeeded":    "watching",
		"watching, try failed":       "watching: try later",
		"marking, missed":            "marking: drop",
		"marking, marked":            "asking: ask",
		"marking, mark failed":       "blind: go blind, ask all",
		"marking, too early":         "watching: abandon",
		"asking, missed":             "marking: tell kept, drop, leave mark",
		"asking, synced":             "reading: read journal",
		"reading, missed":            "reading again: drop",
		"reading, reached":           "closing",
		"reading, read failed":       "blind: tell kept, drop kept, go blind, ask all",
		"reading again, missed":      "reading again: drop",
		"reading again, reached":     "closing again",
		"reading again, read failed": "blind: tell kept, drop kept, go blind, ask all",
		"closing, missed":            "closing again",
		"closing, read":              "settling: ping",
		"closing, read failed":       "blind: tell kept, drop kept, go blind, ask all",
		"closing again, missed":      "closing again",
		"closing again, read":        "marking: tell kept, drop, leave mark",
		"closing again, read failed": "blind: tell kept, drop kept, go blind, ask all",
		"settling, missed":           "marking: tell kept, drop, leave mark",
		"settling, synced":           "watching: hand over",
		"settling, late":             "marking: tell kept, drop, leave mark, ask all",
		"blind, missed":              "blind: drop, ask",
		"blind, synced":              "blind settling: ping",
		"blind settling, missed":     "blind: drop, ask",
		"blind settling, synced":     "watching: hand open, try later",
		"blind settling, late":       "blind: drop kept, ask all",
	}
	got := map[string]string{}
	for phase := range phases {
		for in := range inputs {
			s, actions := State{Phase: phase}.Step(in)
			if steps[phase][in] == nil {
				if s != (State{Phase: phase}) || actions != nil {
					t.Errorf("%v, %v: not in the table, but leads to %+v, %v", phase, in, s, actions)
				}
				continue
			}
			text := s.Phase.String()
			for i, a := range actions {
				text += []string{": ", ", "}[min(i, 1)] + a.String()
			}
			got[phase.String()+", "+in.String()] = text
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// A world has a bus, a PID 1 and a journal, which may fail. It does what a state says, and
// knows when each thing was done: what it hands over must be complete.
type world struct {
	r       *rand.Rand
	now     int
	state   State
	due     []Input // what is still to come of what was begun
	missed  int     // when something was missed last
	marked  int     // when the mark was left
	asked   int     // when all snapshots were asked for
	read    int     // when the reading of the journal began
	pinged  int
	handed  int // how often it handed over
	open    int // and how often without the journal
	problem string
}

func (w *world) step(in Input) {
	w.now++
	if in == Missed {
		w.missed = w.now
	}
	var actions []Action
	w.state, actions = w.state.Step(in)
	for _, a := range actions {
		w.now++
		w.do(a)
	}
}

// fails reports whether what depends on the journal fails.
func (w *world) fails() bool { return w.r.IntN(4) == 0 }

func (w *world) do(a Action) {
	switch a {
	case LeaveMark:
		w.due = slices.DeleteFunc(w.due, func(in Input) bool { return in == Marked || in == MarkFailed || in == Synced })
		if w.marked = w.now; w.fails() {
			w.due = append(w.due, MarkFailed)
		} else {
			w.due = append(w.due, Marked)
		}
	case Ask, AskAll:
		if w.state.Asks() {
			w.asked = w.now
			w.due = append(slices.DeleteFunc(w.due, func(in Input) bool { return in == Synced }), Synced)
		}
	case ReadJournal:
		if w.read = w.now; w.fails() {
			w.due = append(w.due, []Input{Reached, ReadFailed}[w.r.IntN(2):]...)
		} else {
			w.due = append(w.due, Reached, Read)
		}
	case Ping:
		w.pinged = w.now
		w.due = append(w.due, Synced)
	case HandOver:
		w.handed++
		w.want("a snapshot is older than what was missed", w.missed < w.asked)
		w.want("the mark is younger than a snapshot", w.marked < w.asked)
		w.want("the journal was read before the snapshots were there", w.asked < w.read)
		w.want("PID 1 was asked for a sign before the journal was read", w.read < w.pinged)
	case HandOpen:
		w.open++
		w.want("a snapshot is older than what was missed", w.missed < w.asked)
		w.want("no more is tried", w.state.Open())
	}
}

func (w *world) want(problem string, ok bool) {
	if !ok && w.problem == "" {
		w.problem = problem
	}
}

// Whatever happens in whatever order, what is handed over is complete; and once nothing
// more happens, it is handed over.
func TestModel(t *testing.T) {
	handed, open := 0, 0
	for seed := range pipelinetest.Seeds(2000) {
		w := &world{r: rand.New(rand.NewPCG(seed, 7))}
		w.step(Missed)
		for range 60 {
			if len(w.due) == 0 || w.r.IntN(6) == 0 {
				w.step([]Input{Missed, Missed, Compare, RetryDue, TryFailed, TrySucceeded}[w.r.IntN(6)])
				continue
			}
			w.next()
		}
		for range 100 {
			if len(w.due) > 0 {
				w.next()
			}
		}
		if w.problem != "" || !w.state.Watches() || w.handed+w.open == 0 {
			t.Fatalf("seed %d: %q; in the end it is %v", seed, w.problem, w.state.Phase)
		}
		handed, open = handed+w.handed, open+w.open
	}
	if handed == 0 || open == 0 {
		t.Errorf("handed over %d times, without the journal %d times", handed, open)
	}
}

// next lets the next thing happen of what was begun.
func (w *world) next() {
	in := w.due[0]
	w.due = w.due[1:]
	if in == Synced && !w.state.Asks() {
		return // the source asks only when it may
	}
	w.step(in)
}

func TestDelay(t *testing.T) {
	var got []time.Duration
	s := State{Phase: Watching}
	for range 12 {
		s, _ = s.Step(TryFailed)
		got = append(got, s.Delay())
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}
	for i := range want {
		want[i] *= time.Second
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
	if s.Failures = math.MaxUint; s.Delay() != lastDelay {
		t.Errorf("after %d failures: %v", s.Failures, s.Delay())
	}
	s = State{Phase: Settling, Failures: 3}
	if s, _ = s.Step(Synced); s.Open() {
		t.Error(fmt.Sprint("the journal was read, and the gap is still open: ", s))
	}
}
