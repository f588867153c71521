package count

import (
	"testing"
	"time"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
)

// What is read in the journal later is counted, however it comes. A clock that is behind what is known
// is not trusted.
func TestCounters(t *testing.T) {
	past := func(k classify.Kind) classify.Transition {
		return classify.Transition{Kind: k, Unit: "a.service", Time: noon, Recovered: true, Life: life(1, false)}
	}
	now := past(classify.Started)
	now.Recovered, now.Time = false, time.Now()
	facts := pipelinetest.Play(past(classify.Started), past(classify.Crashed), past(classify.GaveUp), past(classify.CaughtUp), now)
	for name, tt := range map[string]struct {
		changed time.Time
		trusted bool
	}{"right": {noon, true}, "behind": {time.Now().Add(1000 * time.Hour), false}} {
		t.Run(name, func(t *testing.T) {
			g := pipeline.New(nil)
			s := New(quiet, map[string]*Tally{"b.service": {Unit: "b.service", Changed: tt.changed}}, Now())
			pipeline.Sink(g, "collector", pipeline.Add(g, "count", pipeline.Source(g, "player", facts), s), pipelinetest.Each(func(Event) {}))
			before := s.ClockTrusted()
			if err := g.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s.Recovered() != 2 || before != tt.trusted || s.ClockTrusted() != tt.trusted {
				t.Errorf("%d recovered, clock trusted %v and then %v", s.Recovered(), before, s.ClockTrusted())
			}
		})
	}
}
