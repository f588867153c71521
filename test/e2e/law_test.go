package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/test/recording"
)

// An auditor is a stage that fails at the first tally that does not balance.
type auditor struct{ events int }

func (a *auditor) check(e count.Event) error {
	a.events++
	// Nothing is imported, so a unit was running when it was first seen, or not.
	if faults := e.Tally.Check(); faults != nil || e.Tally.FirstSeenRunning != 0 && e.Tally.FirstSeenRunning != 1 {
		return fmt.Errorf("event %d: %q of %+v", a.events, faults, e)
	}
	return nil
}

// TestRecordingsBalance wants the counts to balance after each event of the recordings. The state file
// has them only now and then.
func TestRecordingsBalance(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*", "*.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	for _, file := range files {
		r, err := recording.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		g := pipeline.New(nil)
		a := &auditor{}
		updates := pipeline.Add(g, "decode", pipeline.Source(g, "player", pipelinetest.Play(r.Signals...)), decode.New(logrus.StandardLogger()))
		transitions := pipeline.Add(g, "classify", updates, classify.New(nil, func() {}))
		pipeline.Sink(g, "auditor", pipeline.Add(g, "count", transitions, count.New(logrus.StandardLogger(), nil, count.Now())), pipelinetest.Check(a.check))
		if err := g.Run(t.Context()); err != nil || a.events == 0 {
			t.Errorf("%s: %d events: %v", file, a.events, err)
		}
	}
}
