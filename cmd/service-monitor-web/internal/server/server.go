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
	Calm      func()          // called when nobody has asked for a second; may be nil
	Quit      <-chan struct{} // closed when the program is to end
	Stop      func()          // stops the graph
}

// New returns the stage that serves.
func New(o Options) *Stage {
	s := &Stage{hub: newHub(), idle: newIdle(o.IdleExit, o.Calm), quit: o.Quit, stop: o.Stop}
	s.server = newServer(s.idle.watch(newGuard(routes(&api{view: o.View, config: o.Config, reads: make(chan struct{}, 1), hub: s.hub}, o.Metrics), o.Hosts)))
	s.serve = func(server *http.Server, l net.Listener) error { return server.Serve(l) }
	for _, l := range o.Listeners {
		// Each has its own part, so that clients of one cannot keep away those of another.
		s.listeners = append(s.listeners, netutil.LimitListener(l, max(1, mostConnections/len(o.Listeners))))
	}
	return s
}

// routes returns the handler of each path.
func routes(a *api, m metrics.Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/status", a.status)
	mux.HandleFunc("/api/why", a.why)
	mux.HandleFunc("/api/timeline", a.timeline)
	mux.HandleFunc("/api/history", a.history)
	mux.HandleFunc("/events", a.events)
	mux.Handle("/metrics", metrics.Handler(a.measured, m))
	mux.Handle("/{$}", page.Handler(a.page))
	mux.HandleFunc("/-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "there is nothing at this path")
	})
	return mux
}
