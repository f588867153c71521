package server

import (
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/service-monitor-web/internal/metrics"
	"service-monitor/cmd/service-monitor-web/internal/page"
)

// mostConnections is how many connections there may be, on all listeners together.
const mostConnections = 256

// Options say how to serve.
type Options struct {
	View      View
	Config    config.Config
	Metrics   metrics.Options
	Listeners []net.Listener
	Hosts     []string        // further names of this machine
	IdleExit  time.Duration   // after how long without a request to end; 0 for never
	Calm      func()          // called when nobody has asked for a moment: see calmAfter; may be nil
	Quit      <-chan struct{} // closed when the program is to end
	Stop      func()          // stops the graph
}

// New returns the stage that serves.
func New(o Options) *Stage {
	s := &Stage{hub: newHub(len(o.Listeners)), busy: &busy{conns: map[net.Conn]bool{}}, idle: newIdle(o.IdleExit, o.Calm), quit: o.Quit, stop: o.Stop}
	a := &api{view: o.View, config: o.Config, reads: make(chan struct{}, 1), hub: s.hub}
	s.server = newServer(s.idle.watch(newGuard(a.routes(o.Metrics, newTurns(len(o.Listeners))), o.Hosts)), s.busy.note)
	for _, l := range o.Listeners {
		// Each has its own part, so that clients of one cannot keep away those of another.
		s.listeners = append(s.listeners, netutil.LimitListener(l, max(1, mostConnections/len(o.Listeners))))
	}
	return s
}

// routes returns a handler of all paths. A path must be exactly right: nothing is redirected.
func (a *api) routes(m metrics.Options, t *turns) http.Handler {
	paths := map[string]http.Handler{
		"/":             t.wait(page.Handler(a.page)),
		"/metrics":      t.wait(metrics.Handler(a.measured, m)),
		"/api/status":   t.wait(http.HandlerFunc(a.status)),
		"/api/why":      t.wait(http.HandlerFunc(a.why)),
		"/api/timeline": t.wait(http.HandlerFunc(a.timeline)),
		"/api/history":  t.wait(http.HandlerFunc(a.history)),
		"/events":       http.HandlerFunc(a.events),
		"/-/healthy":    http.HandlerFunc(healthy),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := paths[r.URL.Path]
		if h == nil {
			refuse(w, http.StatusNotFound, "there is nothing at this path; service-monitor-web help lists those that there are")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // if it cannot be written, nobody reads it
}
