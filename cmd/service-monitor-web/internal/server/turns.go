package server

import (
	"context"
	"net/http"
	"sync"
)

// mostAnswers is how many answers may be under way, on all listeners together. The metrics of a thousand
// services are the largest one. They take 2.5 MB.
const mostAnswers = 16

// Turns let only so many requests be answered at a time. The others wait. So clients that ask for a lot and
// read slowly cannot fill the memory, however many there are.
type turns struct {
	most int // of one listener

	mu sync.Mutex
	of map[string]chan struct{} // by listener; each has room for a token of each answer
}

// newTurns returns the turns of so many listeners. Each has its own part, so that clients of one cannot keep
// away those of another.
func newTurns(listeners int) *turns {
	return &turns{most: max(1, mostAnswers/max(1, listeners)), of: map[string]chan struct{}{}}
}

// at returns the turns of a listener.
func (t *turns) at(listener string) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of[listener]
	if c == nil {
		c = make(chan struct{}, t.most)
		t.of[listener] = c
	}
	return c
}

// wait returns a handler that waits for its turn.
func (t *turns) wait(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		turn := t.at(listenerOf(r))
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
			next.ServeHTTP(w, r)
		case <-ctx.Done():
			later(w, ctx.Err())
		}
	})
}
