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

// firstAfter is how long it waits for the first request at least. systemd has started the program because
// somebody is connected. If it ended before it has taken that connection, systemd would start it again, and so
// on.
const firstAfter = 10 * time.Second

func newIdle(after time.Duration, calm func()) *idle {
	i := &idle{over: make(chan struct{}, 1), after: after, calm: calm}
	i.wait(max(after, firstAfter))
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
	if i.active--; i.active == 0 {
		i.wait(i.after)
	}
}

// wait waits for the next request.
func (i *idle) wait(long time.Duration) {
	if i.after > 0 {
		i.timer = time.AfterFunc(long, i.expire)
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
