package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/view"
	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

// A bed is a server in a bubble of testing/synctest. Its connections are pipes.
type bed struct {
	*pipes
	stage  *Stage
	events chan view.Event
	quit   context.CancelFunc
	ended  chan error
}

func newBed(v View, c config.Config, idle time.Duration) *bed {
	b := &bed{pipes: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, events: make(chan view.Event), ended: make(chan error, 1)}
	quit, end := context.WithCancel(context.Background())
	graph, stop := context.WithCancel(context.Background())
	b.quit = end
	b.stage = New(Options{View: v, Config: c, Listeners: []net.Listener{b.pipes}, IdleExit: idle, Quit: quit.Done(), Stop: stop})
	g := pipeline.New(nil)
	pipeline.Sink(g, "serve", pipeline.Source(g, "events", pipelinetest.Feed(b.events)), b.stage)
	go func() { b.ended <- g.Run(graph) }()
	b.events <- view.Event{Kind: view.Ready, Seq: 7}
	return b
}

// pipes listens for pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	open   atomic.Int64
	most   atomic.Int64
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		if n := p.open.Add(1); n > p.most.Load() {
			p.most.Store(n)
		}
		return &counted{Conn: c, open: &p.open}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "/pipe", Net: "unix"} }

type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// dial connects when the server accepts.
func (p *pipes) dial() (net.Conn, bool) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, true
	case <-p.closed:
		return nil, false
	}
}

// request sends a request, and returns the status code and the body of the answer.
func request(c net.Conn, path string) (int, string, error) {
	go fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

// A client that says nothing, or says it slowly, or says too much, is cut off.
func TestSlowClients(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		for name, say := range map[string]func(net.Conn) error{
			"silent": func(net.Conn) error { return nil },
			"a byte a second": func(c net.Conn) error {
				for _, r := range "GET / HTTP/1.1\r\nHost: localhost\r\n" {
					if _, err := c.Write([]byte{byte(r)}); err != nil {
						return err
					}
					time.Sleep(time.Second)
				}
				return nil
			},
		} {
			conn, _ := b.dial()
			begun := time.Now()
			var saying sync.WaitGroup
			saying.Go(func() { _ = say(conn) })
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begun); took > headersIn+time.Second {
				t.Errorf("%s: cut off after %v", name, took)
			}
			conn.Close()
			saying.Wait()
		}
		conn, _ := b.dial()
		go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 9<<10))
		if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v", r, err)
		}
		conn.Close()
		b.quit()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
	})
}

// However many connect, only so many have a connection. The others wait, and each is answered at last.
func TestManyConnections(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		var silent sync.WaitGroup
		for range 10_000 {
			silent.Go(func() {
				if conn, ok := b.dial(); ok {
					_, _ = io.Copy(io.Discard, conn)
				}
			})
		}
		synctest.Wait()
		conn, _ := b.dial()
		if code, _, err := request(conn, "/-/healthy"); code != http.StatusOK || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		silent.Wait()
		if most := b.most.Load(); most > mostConnections {
			t.Errorf("%d connections", most)
		}
		b.quit()
		<-b.ended
	})
}

// Whoever has connected when the server ends is answered.
func TestDrain(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		conn, _ := b.dial()
		synctest.Wait()
		b.quit()
		time.Sleep(time.Second)
		if code, _, err := request(conn, "/api/status"); code != http.StatusOK || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		if _, ok := b.dial(); ok {
			t.Error("somebody was accepted after the end")
		}
	})
}

// If a socket fails, the program fails, and its error says so.
func TestSocketFails(t *testing.T) {
	c := nowhere(t)
	broken := errors.New("broken")
	s := New(Options{View: fixedView(), Config: c, Listeners: []net.Listener{failing{broken}}, Stop: func() {}})
	g := pipeline.New(nil)
	pipeline.Sink(g, "serve", pipeline.Source(g, "events", pipelinetest.Feed(make(chan view.Event))), s)
	if err := g.Run(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Accept() (net.Conn, error) { return nil, f.err }
func (f failing) Close() error              { return nil }
func (f failing) Addr() net.Addr            { return &net.UnixAddr{} }
