package server

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// A busy knows which connections wait for an answer, or may be about to ask.
type busy struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	none  chan struct{} // closed as soon as there are none; nil if nobody waits
}

// note notes a state of a connection. It is http.Server.ConnState.
func (b *busy) note(c net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		b.conns[c] = true
		return
	}
	delete(b.conns, c)
	if len(b.conns) == 0 && b.none != nil {
		close(b.none)
		b.none = nil
	}
}

// wait waits until there are none, but not longer than a time.
func (b *busy) wait(atMost time.Duration) {
	b.mu.Lock()
	none := make(chan struct{})
	if b.none = none; len(b.conns) == 0 {
		close(none)
		b.none = nil
	}
	b.mu.Unlock()
	timeout := time.NewTimer(atMost)
	defer timeout.Stop()
	select {
	case <-none:
	case <-timeout.C:
	}
}
