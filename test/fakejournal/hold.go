package fakejournal

import (
	"sync"
	"testing"
	"time"
)

// limit is far more than a journalctl takes to come.
const limit = 5 * time.Minute

// A Hold makes each journalctl wait before it reads, and after each mark, until the test lets it
// go on.
type Hold struct {
	t     *testing.T
	calls chan chan struct{}
	held  chan struct{} // closed to let the last journalctl that came go on
	over  chan struct{}
	End   func() // ends the hold, so that all go on
}

// Hold makes each journalctl that begins from now on wait, until it is let go or the hold ends.
func (j *Journal) Hold() *Hold {
	h := &Hold{t: j.t, calls: make(chan chan struct{}), over: make(chan struct{})}
	j.set(h)
	h.End = sync.OnceFunc(func() { j.set(nil); close(h.over) })
	j.t.Cleanup(h.End)
	return h
}

func (j *Journal) set(h *Hold) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = h
}

// wait returns when this journalctl may read.
func (h *Hold) wait() {
	held := make(chan struct{})
	select {
	case h.calls <- held:
	case <-h.over:
	}
	select {
	case <-held:
	case <-h.over:
	}
}

// Await returns when a journalctl waits: the next one, or the same one again.
func (h *Hold) Await() {
	h.t.Helper()
	select {
	case h.held = <-h.calls:
	case <-time.After(limit):
		h.t.Fatal("nobody reads the journal")
	}
}

// Pass lets the journalctl that waits go on, and holds the next one.
func (h *Hold) Pass() { close(h.held) }
