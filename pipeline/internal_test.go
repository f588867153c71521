package pipeline

import (
	"testing"
	"time"
)

// TestAnswerLetsGoOfWhatWasSent wants the batches to be freed when the stage answers a probe,
// unless it waits to send.
func TestAnswerLetsGoOfWhatWasSent(t *testing.T) {
	var s Stream[int]
	s.load([]int{1})
	s.load([]int{2})
	q := Probe{make(chan Answer, 2), s.rest}
	q.Answer(Answer{sending: true})
	if len(s.batch) != 1 {
		t.Fatal("the batch that is being sent is gone")
	}
	q.Answer(Answer{})
	if s.batch != nil || s.previous != nil {
		t.Errorf("batches %v and %v are kept", s.batch, s.previous)
	}
}

// TestFailedIsNotReady runs a round after a stage has failed and before the abort. There must
// be no READY=1.
func TestFailedIsNotReady(t *testing.T) {
	done := make(chan struct{})
	close(done)
	h := newHealth(nil)
	r := h.round(t.Context(), []*member{{name: "bus", probes: make(chan Probe), done: done}}, time.Minute)
	if !r.delaysReady || r.late != nil {
		t.Errorf("a round with a stage that has failed: %+v", r)
	}
}
