package classify

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/decode"
)

// If a start is announced and the monitor stops before its change comes, the start is a fact at the
// end. The first snapshot is compared with what an earlier process knew.
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
		if diff := cmp.Diff([]string{"caught up", "active -> inactive/dead", "stopped success", "started"}, lines(facts)); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
	})
}

// An end that was not announced is left to the journal, also if that cannot be read yet.
func TestDoubtInAnOpenGap(t *testing.T) {
	unread := at("active/running", 2, unread, entered(30))
	unread.Complete = true // every change was received
	s := New(nil, func() {})
	var facts []Transition
	for _, u := range []decode.Update{
		at("active/running", 1, snapshot, entered(10)), at("activating/start", 2, entered(20)), at("active/running", 2, entered(30)), unread,
		past(2, run(1, "signal", 0), run(2, "", 0)), at("active/running", 2, entered(30), recovered()),
	} {
		facts = s.classify(facts, u)
	}
	want := []string{"seen active", "caught up", "crashed signal", "started", "caught up"}
	if diff := cmp.Diff(want, lines(facts)); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// An end that was not announced is left to the journal: nothing is believed of that unit until
// there is a snapshot. Other units are not affected.
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
		if diff := cmp.Diff(want, lines(facts)); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
		if doubts != 1 {
			t.Errorf("%d doubts, want 1", doubts)
		}
	})
}
