package server

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"service-monitor/cmd/internal/view"
	"service-monitor/pipeline"
)

// Limits of the time that a client may take. A stream of events has another one for each write.
const (
	headersIn = 5 * time.Second
	readIn    = 10 * time.Second
	writeIn   = 30 * time.Second
	idleFor   = 2 * time.Minute
	// drainIn is how long requests under way may take at the end.
	drainIn = headersIn + time.Second
)

// headerBytes is how long the headers of a request may be. net/http reads 4 kB more than it is told.
const headerBytes = 8<<10 - 4<<10

// Stage is the last stage: it serves, and tells those who follow what the view sends.
type Stage struct {
	listeners []net.Listener
	server    *http.Server
	hub       *hub
	busy      *busy
	idle      *idle
	quit      <-chan struct{} // closed when the program is to end
	stop      func()          // stops the graph
}

type port = pipeline.Port[view.Event, pipeline.None]

// Run serves until there are no more events. If the program is to end, or nobody has asked for long
// enough, it first answers whoever has asked, and then stops the graph.
func (s *Stage) Run(ctx context.Context, p *port) error {
	failed := make(chan error, len(s.listeners))
	var serving sync.WaitGroup
	for _, l := range s.listeners {
		serving.Go(func() {
			if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- err
			}
		})
	}
	var drained <-chan struct{}
	drain := func() {
		if drained == nil {
			drained = pipeline.Aside(func() struct{} { s.drain(&serving); return struct{}{} })
		}
	}
	defer s.server.Close()
	for over := false; !over || p.In != nil; {
		select {
		case batch, ok := <-p.In:
			if s.hub.tell(batch); !ok {
				p.In = nil
				drain()
			}
		case <-s.quit:
			s.quit = nil
			drain()
		case <-s.idle.over:
			drain()
		case <-drained:
			over = true
			s.stop()
		case err := <-failed:
			return err
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// drain ends all that is under way. The listeners are closed first. So nobody is accepted who is not
// answered: a connection that comes now waits in the socket, which systemd holds, until systemd starts
// this program again.
func (s *Stage) drain(serving *sync.WaitGroup) {
	for _, l := range s.listeners {
		l.Close()
	}
	serving.Wait()
	s.hub.close()
	// Shutdown alone would drop whoever has connected, but not asked yet.
	s.server.SetKeepAlivesEnabled(false)
	s.busy.wait(drainIn)
	s.server.Close() // whoever is slower is cut off
}

// atListener returns a context that knows the listener of a request.
func atListener(l net.Listener) context.Context {
	return context.WithValue(context.Background(), listenerKey{}, l.Addr().Network()+" "+l.Addr().String())
}

type listenerKey struct{}

func listenerOf(r *http.Request) string {
	at, _ := r.Context().Value(listenerKey{}).(string)
	return at
}

// newServer returns a server with all its limits.
//
// net/http would answer OPTIONS * itself, and so let it pass the guard.
func newServer(handler http.Handler, state func(net.Conn, http.ConnState)) *http.Server {
	return &http.Server{
		Handler: handler, DisableGeneralOptionsHandler: true, ConnState: state, BaseContext: atListener, MaxHeaderBytes: headerBytes, ReadHeaderTimeout: headersIn, ReadTimeout: readIn, WriteTimeout: writeIn, IdleTimeout: idleFor,
		ErrorLog: log.New(io.Discard, "", 0), // it tells of bad clients, and anybody can be one
	}
}
