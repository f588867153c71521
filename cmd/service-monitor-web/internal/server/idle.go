package server

import (
	"net/http"
	"sync"
	"time"
)

// An idle knows how long nobody has asked for anything.
type idle struct {
	over  chan struct{} // gets a token when nobody has asked for long enough
	after time.Duration // 0 for never
	calm  func()        // called when nobody has asked for a short time; may be nil

	mu     sync.Mutex
	active int
	timer  *time.Timer
	soon   *time.Timer
}

// calmAfter is how long nobody has to ask until there is time to tidy up.
const calmAfter = 100 * time.Millisecond

func newIdle(after time.Duration, calm func()) *idle {
	i := &idle{over: make(chan struct{}, 1), after: after, calm: calm}
	i.end()
	return i
}

func (i *idle) begin() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.active++
	for _, t := range []*time.Timer{i.timer, i.soon} {
		if t != nil {
			t.Stop()
		}
	}
}

func (i *idle) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.active = max(0, i.active-1); i.active > 0 {
		return
	}
	if i.after > 0 {
		i.timer = time.AfterFunc(i.after, i.expire)
	}
	if i.calm != nil {
		i.soon = time.AfterFunc(calmAfter, i.calm)
	}
}

func (i *idle) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.active > 0 {
		return
	}
	select {
	case i.over <- struct{}{}:
	default:
	}
}

// watch returns a handler whose requests count.
func (i *idle) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.begin()
		defer i.end()
		next.ServeHTTP(w, r)
	})
}
