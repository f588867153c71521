package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/internal/view"
	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

// A fixed view is always the same.
type fixed struct {
	status *tell.Status
	err    error
}

func (f fixed) Now(_ context.Context, wants func(string) bool) (view.Snapshot, error) {
	if f.err != nil {
		return view.Snapshot{}, f.err
	}
	s := *f.status
	s.Units = nil
	for _, u := range f.status.Units {
		if wants(u.Unit) {
			s.Units = append(s.Units, u)
		}
	}
	return view.Snapshot{Status: &s, Connected: true, Seq: 7}, nil
}

func (f fixed) WithPlans(ctx context.Context) (view.Snapshot, error) { return f.Now(ctx, view.All) }

func (f fixed) Since(context.Context, uint64) ([]view.Event, error) { return nil, f.err }

func (f fixed) Follow(context.Context) error { return f.err }

func fixedView(units ...string) fixed {
	s := &tell.Status{Now: time.Unix(1_750_000_000, 0), AsOf: time.Unix(1_750_000_000, 0), Host: "gw", Troubles: []string{}}
	for _, unit := range units {
		s.Units = append(s.Units, &tell.Unit{Tally: tallyOf(unit, 1)})
	}
	return fixed{status: s}
}

// nowhere is a configuration without any files.
func nowhere(t *testing.T) config.Config {
	c := config.Default()
	c.State.File, c.Feed.Socket = t.TempDir()+"/state", t.TempDir()+"/feed"
	return c
}

// send returns the answer to a request.
func send(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1"+target, nil)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handlerOf(t *testing.T, v View, hosts ...string) http.Handler {
	return New(Options{View: v, Config: nowhere(t), Hosts: hosts}).server.Handler
}

// Only the requests of a person's browser and of Prometheus are answered.
func TestGuard(t *testing.T) {
	h := handlerOf(t, fixedView("a.service"), "gateway.example.")
	name, _ := os.Hostname()
	for _, tt := range []struct {
		method, target string
		headers        []string
		code           int
	}{
		{"GET", "/api/status", nil, 200},
		{"HEAD", "/api/status", nil, 200},
		{"POST", "/api/status", nil, 405},
		{"OPTIONS", "/metrics", nil, 405},
		{"DELETE", "/", nil, 405},
		{"GET", "/nothing", nil, 404},
		{"GET", "/../../etc/passwd", nil, 404},
		{"GET", "/" + strings.Repeat("a", 4000), nil, 414},
		{"GET", "/-/healthy", []string{"Host", "[::1]:9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "192.168.1.7"}, 200},
		{"GET", "/-/healthy", []string{"Host", "LocalHost:80"}, 200},
		{"GET", "/-/healthy", []string{"Host", name + ":9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "gateway.example:9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "gateway.example.:9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "evil.example"}, 421},
		{"GET", "/metrics", []string{"Host", "evil.example"}, 421},
		{"GET", "/", []string{"Host", "127.0.0.1.evil.example:9750"}, 421},
		{"GET", "/", []string{"Host", ""}, 421},
		{"GET", "/", []string{"Host", "::1"}, 200},
		{"GET", "/api/status", []string{"Origin", "http://127.0.0.1"}, 200},
		{"GET", "/api/status", []string{"Origin", "http://evil.example"}, 403},
		{"GET", "/metrics", []string{"Origin", "null"}, 403},
		{"GET", "/api/status", []string{"Origin", ""}, 403},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "none"}, 200},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/metrics", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
	} {
		w := send(h, tt.method, tt.target, tt.headers...)
		if w.Code != tt.code {
			t.Errorf("%s %.40s %q: %d, want %d: %s", tt.method, tt.target, tt.headers, w.Code, tt.code, w.Body)
		}
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s %.40s: %s: %q, want %q", tt.method, tt.target, header, got, want)
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
			t.Errorf("%.40s: %s", tt.target, csp)
		}
		if tt.code == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: Allow: %s", tt.method, w.Header().Get("Allow"))
		}
		var words struct{ Error string }
		if tt.code >= 400 && (json.Unmarshal(w.Body.Bytes(), &words) != nil || words.Error == "") {
			t.Errorf("%s %.40s: %s", tt.method, tt.target, w.Body)
		}
	}
}

// No request passes the guard, not even the one that net/http would answer itself.
func TestGuardOfServer(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		conn, _ := b.dial()
		go fmt.Fprintf(conn, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("X-Content-Type-Options") == "" {
			t.Errorf("%v, %v", r, err)
		}
		conn.Close()
		b.quit()
		<-b.ended
	})
}

// A bad query is told which key is wrong, and what it may be.
func TestQueries(t *testing.T) {
	h := handlerOf(t, fixedView("a.service", "mosquitto.service"))
	for target, want := range map[string]string{
		"/api/timeline?hours=0":              "400 hours must be a number from 1 to 168",
		"/api/timeline?hours=169":            "400 hours must be a number from 1 to 168",
		"/api/timeline?hours=":               "400 hours must be a number from 1 to 168",
		"/api/timeline?hours=%00":            "400 hours must be a number from 1 to 168",
		"/api/history?n=1e3":                 "400 n must be a number from 1 to 1000",
		"/api/why":                           "400 unit is missing; write /api/why?unit=NAME",
		"/api/why?unit=a&crash=-1":           "400 crash must be a number from 1",
		"/api/timeline?unit=mosquito":        "404 none of the monitored services is called mosquito.service; did you mean mosquitto?",
		"/api/history?unit=%3Cscript%3E":     "404 none of the monitored services is called",
		"/api/timeline?unit=":                "400 unit is empty; leave it out",
		"/api/history?unit=":                 "400 unit is empty; leave it out",
		"/events?after=x":                    "400 after must be the number of an event",
		"/events?after=-1":                   "400 after must be the number of an event",
		"/events?after=1.0":                  "400 after must be the number of an event",
		"/events?after=18446744073709551615": "400 after must be the number of an event",
	} {
		w := send(h, "GET", target)
		if got := fmt.Sprint(w.Code, " ", w.Body); !strings.HasPrefix(got, want[:4]) || !strings.Contains(got, want[4:]) || strings.Contains(got, "<script>") {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	for _, target := range []string{"/api/status", "/api/timeline", "/api/history", "/", "/metrics"} {
		w := send(handlerOf(t, fixed{err: view.ErrEnded}), "GET", target)
		if want := map[bool]int{true: 200, false: 503}[target == "/api/history"]; w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
}

// Nothing that a service may write into its name, its status or its last words is anything but text.
func TestHostile(t *testing.T) {
	const evil = `</script><script>alert(1)</script>` + "\u2028\x00\x1b[2J\"'&\n\ndata: x\n.service"
	v := fixedView(evil)
	v.status.Units[0].LastCrash.Cause.Result = evil
	v.status.Troubles = []string{evil}
	h := handlerOf(t, v)
	for _, target := range []string{"/api/status", "/api/timeline", "/", "/metrics"} {
		w := send(h, "GET", target)
		if w.Code != 200 || target != "/metrics" && strings.Contains(w.Body.String(), "<script>alert") {
			t.Errorf("%s: %d: %s", target, w.Code, w.Body)
		}
		if strings.HasPrefix(target, "/api") {
			var any map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &any); err != nil || strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("%s: %v: %s", target, err, w.Body)
			}
		}
	}
	text := string(textOf(&view.Event{Kind: view.Gone, Data: view.Quoted(evil)}))
	if strings.Count(text, "\n") != 3 || strings.Contains(text, "<script>") {
		t.Errorf("%q", text)
	}
}

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

// There are only so many streams. One whose client does not read is cut off, and makes room.
func TestStreams(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		var conns []net.Conn
		for range mostStreams {
			conn, _ := b.dial()
			go fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%v, %v", r, err)
			}
			conns = append(conns, conn)
		}
		conn, _ := b.dial()
		go fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("%v, %v", r, err)
		}
		conn.Close()
		// Nobody reads any more: all have a write under way that does not end.
		b.events <- view.Event{Kind: view.Told, Seq: 8, Data: []byte(`{"seq":8}`)}
		time.Sleep(flushIn + time.Second)
		synctest.Wait()
		b.stage.hub.mu.Lock()
		if n := len(b.stage.hub.streams); n != 0 {
			t.Errorf("%d streams", n)
		}
		b.stage.hub.mu.Unlock()
		for _, conn := range conns {
			conn.Close()
		}
		b.quit()
		<-b.ended
	})
}

// Each listener has its own part of the streams, however many of another there are.
func TestStreamsOfListeners(t *testing.T) {
	h := newHub(2)
	var some *stream
	for range mostStreams / 2 {
		if some = h.join("tcp"); some == nil {
			t.Fatal("there is room")
		}
	}
	if h.join("tcp") != nil {
		t.Error("there is no room")
	}
	if h.join("unix") == nil {
		t.Error("the other listener has room")
	}
	h.leave(some)
	if h.join("tcp") == nil {
		t.Error("there is room again")
	}
}

// What waits for slow clients is bounded.
func TestBehind(t *testing.T) {
	h := newHub(1)
	h.tell([]view.Event{{Kind: view.Ready, Seq: 1}})
	s := h.join("")
	data := []byte(strings.Repeat("x", 1000))
	for seq := uint64(2); seq < 5000; seq++ {
		h.tell([]view.Event{{Kind: view.Told, Seq: seq, Data: data}})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for _, f := range s.waiting {
		bytes += len(f.text)
	}
	if bytes > behind || !s.cut {
		t.Errorf("%d bytes wait; cut: %v", bytes, s.cut)
	}
}

// The server ends when nobody has asked for long enough, or follows. Whoever follows hears something now
// and then.
func TestIdleExit(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := newBed(fixedView("a.service"), c, 2*time.Minute)
		time.Sleep(time.Minute)
		conn, _ := b.dial()
		if code, _, err := request(conn, "/api/status"); code != http.StatusOK || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		time.Sleep(time.Minute)
		conn, _ = b.dial()
		go fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		pings := 0
		for lines := bufio.NewScanner(r.Body); pings < 40 && lines.Scan(); {
			if lines.Text() == ":" {
				pings++
			}
		}
		if took := time.Since(begun); took < 40*pingEvery {
			t.Errorf("%d pings after %v", pings, took)
		}
		conn.Close()
		left := time.Now()
		if err := <-b.ended; err != nil || time.Since(left) < 2*time.Minute || time.Since(left) > 4*time.Minute {
			t.Errorf("ended after %v, %v", time.Since(left), err)
		}
	})
}

// However short that time is, the server waits for the client that it was started for. If none comes, it ends
// all the same.
func TestFirstRequest(t *testing.T) {
	c := nowhere(t)
	for _, asks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			b := newBed(fixedView("a.service"), c, time.Millisecond)
			want := firstAfter
			if asks {
				want = firstAfter / 2
				time.Sleep(want)
				conn, _ := b.dial()
				if code, _, err := request(conn, "/-/healthy"); code != http.StatusOK || err != nil {
					t.Errorf("%d, %v", code, err)
				}
			}
			if err := <-b.ended; err != nil || time.Since(begun) < want || time.Since(begun) > want+time.Second {
				t.Errorf("asks %t: ended after %v, %v; want %v", asks, time.Since(begun), err, want)
			}
		})
	}
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

// FuzzQuery wants each query and each Last-Event-ID to get an answer that is JSON or a stream.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"unit=a&n=3", "hours=168", "unit=%ff%00&crash=18446744073709551616", "after=7", "after=7.1", "after=9999999999.99"} {
		f.Add(q, "7.1")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, query, last string) {
		c := config.Default()
		c.State.File, c.Feed.Socket = dir+"/state", dir+"/feed"
		stage := New(Options{View: fixedView("a.service"), Config: c})
		stage.hub.tell([]view.Event{{Kind: view.Ready, Seq: 7}})
		for _, path := range []string{"/api/status", "/api/why", "/api/timeline", "/api/history", "/events", "/metrics", "/"} {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
			r.URL.RawQuery = query
			r.Header["Last-Event-Id"] = []string{last}
			ctx, cancel := context.WithCancel(r.Context())
			if path == "/events" {
				cancel() // it would never end
			}
			w := httptest.NewRecorder()
			stage.server.Handler.ServeHTTP(w, r.WithContext(ctx))
			cancel()
			if strings.HasPrefix(path, "/api") && !json.Valid(w.Body.Bytes()) || w.Code == 500 {
				t.Errorf("%s?%s: %d: %s", path, query, w.Code, w.Body)
			}
		}
	})
}
