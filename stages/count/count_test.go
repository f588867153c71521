package count

import (
	"context"
	"fmt"
	"io"
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

// keeper returns a stage that began at noon. The machine had booted an hour before.
func keeper(known map[string]*Tally) *Stage { return New(quiet, known, Moment{noon, hour, boot}) }

// counted counts a transition, and returns the tally of its unit.
func counted(s *Stage, t classify.Transition) Tally {
	events := s.count(nil, t, noon)
	return *events[len(events)-1].Tally
}

// life returns the life of a unit in its nth invocation, which runs or has ended.
func life(nth byte, running bool) *classify.Life {
	return &classify.Life{ActiveState: "active", Invocation: decode.Invocation{nth}, Ran: true, Ended: !running}
}

func crash(result string) classify.Transition {
	return classify.Transition{
		Kind: classify.Crashed, Unit: "a.service", Time: noon.Add(time.Minute),
		Invocation: decode.Invocation{1}, Cause: classify.Cause{Result: result, Code: 1, Status: 3}, Life: life(1, false),
	}
}

// Every transition is an event. Counting goes on from what an earlier process counted. The counters
// of a unit that is forgotten begin anew. The status shows how many units are active.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fact := func(k classify.Kind, unit, to string) classify.Transition {
			return classify.Transition{Kind: k, Unit: unit, To: to, Time: time.Now(), Cause: classify.Cause{Result: "signal"}}
		}
		const every = 3 * time.Second
		facts := pipelinetest.PlayEvery(every,
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
			got = append(got, fmt.Sprintf("%s %s %d %d", e.Kind, e.Unit, e.Tally.Starts, e.Tally.Crashes))
		}))
		stop, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		want := []string{"state a.service 7 0", "start a.service 8 0", "crash a.service 8 1", "forgotten a.service 8 1", "seen a.service 0 0"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events: kind, unit, starts, crashes (-want +got):\n%s", diff)
		}
		status := []string{
			"0s watching 2 services, 1 active",
			"3s watching 2 services, 2 active",
			"9s watching 2 services, 2 active, last crash a.service just now",
			"12s watching 1 services, 1 active",
			"15s watching 2 services, 2 active",
			"30s saving and stopping",
		}
		got = nil
		for _, s := range n.Statuses() {
			at, text, _ := strings.Cut(s, " ")
			after, err := time.ParseDuration(at)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(after.Truncate(every), " ", text)) // a stage that just sends is asked again after a second
		}
		if diff := cmp.Diff(status, got); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// The counts of units that are unloaded are added to the sums of their glob. The sums balance.
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
		Unit: "run-*.service", State: "unloaded", Changed: noon, LoggedUnloaded: true, Starts: 3, Stops: 1, Crashes: 2, Folded: 3,
		CrashCauses: []CauseCount{{"signal", 1}, {"exit-code", 1}}, Times: Times{Spent: Spent{Up: 6 * time.Second}},
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
