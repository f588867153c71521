package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/internal/view"
	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
)

// A gateway has the store and the feed of a monitor, and a server. Both can be stopped and started.
type gateway struct {
	t           *testing.T
	config      config.Config
	units       map[string]*count.Tally
	disk        *store.Store
	stored      chan store.Record
	events      chan count.Event
	feed        *feed.Stage
	catchingUp  bool // so it is from its start on
	stopMonitor func()
	url         string
	stopServer  func()
	seqs        []uint64 // of all records that a client should hear of, in their order
}

func newGateway(t *testing.T, units ...string) *gateway {
	g := &gateway{t: t, config: config.Default(), units: map[string]*count.Tally{}}
	g.config.History.Size = 1 << 20
	g.config.State.File = filepath.Join(t.TempDir(), "state")
	g.config.Feed.Socket = filepath.Join(t.TempDir(), "feed")
	for _, unit := range units {
		g.units[unit] = tallyOf(unit, 0)
	}
	return g
}

func tallyOf(unit string, crashes uint64) *count.Tally {
	t := &count.Tally{Unit: unit, State: "active", Changed: time.Unix(1_750_000_000, 0).UTC(), Starts: crashes + 1, Crashes: crashes, Life: &classify.Life{ActiveState: "active", SubState: "running"}}
	if crashes > 0 {
		t.LastCrash = &count.Crash{Time: time.Unix(1_750_000_000+int64(crashes), 0).UTC(), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}}
	}
	return t
}

// start starts the monitor.
func (g *gateway) start() {
	g.t.Helper()
	var err error
	if g.disk, _, err = store.Open(chronicle.Beside(g.config.State.File), int64(g.config.History.Size), func(*store.Record) {}); err != nil {
		g.t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	g.stored, g.events = make(chan store.Record), make(chan count.Event)
	ready := pipelinetest.NewNotifier(0)
	p := pipeline.New(ready)
	records := pipeline.Beside(pipeline.Cut(pipeline.Source(p, "records", pipelinetest.Feed(g.stored)), feed.Backlog, func(int) {}))
	g.feed = feed.New(log, g.config.Feed.Socket, feed.Monitor{Version: "1", State: g.config.State.File, Since: time.Now(), CatchingUp: g.catchingUp}, g.units, records, tell.WriteJSON)
	pipeline.Sink(p, "feed", pipeline.Source(p, "events", pipelinetest.Feed(g.events)), g.feed)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	g.stopMonitor = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
		g.disk.Close()
	})
	g.t.Cleanup(g.stopMonitor)
	ready.Await("READY=1")
}

// crash lets units crash, one after the other. If told, the feed tells of it.
func (g *gateway) crash(told bool, units ...string) {
	g.t.Helper()
	for _, unit := range units {
		t := tallyOf(unit, g.units[unit].Crashes+1)
		g.units[unit] = t
		r := store.Record{Kind: store.Crash, Time: t.LastCrash.Time, Unit: unit, Result: "signal", Code: 2, Status: 9, Delta: store.Counts{Crashes: 1}, After: chronicle.Counts(t)}
		g.write(told, r)
		if told {
			g.events <- count.Event{Transition: classify.Transition{Kind: classify.Crashed, Unit: unit, Life: t.Life}, Tally: t}
		}
	}
}

// write puts records into the store. If told, the feed tells of them.
func (g *gateway) write(told bool, records ...store.Record) {
	g.t.Helper()
	if _, err := g.disk.Append(records); err != nil {
		g.t.Fatal(err)
	}
	for _, r := range records {
		g.seqs = append(g.seqs, r.Seq)
		if told {
			g.stored <- r
		}
	}
}

// serve starts a server, at the same address as the one before.
func (g *gateway) serve() {
	g.t.Helper()
	address := "127.0.0.1:0"
	if g.url != "" {
		address = strings.TrimPrefix(g.url, "http://")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		g.t.Fatal(err)
	}
	if g.url == "" {
		g.url = "http://" + l.Addr().String()
	}
	g.stopServer = g.run(Options{Listeners: []net.Listener{l}})
}

// run runs a server, and returns a function that ends it.
func (g *gateway) run(o Options) (stop func()) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	p := pipeline.New(nil)
	v := view.New(log, g.config)
	quit, end := context.WithCancel(context.Background())
	graph, cancel := context.WithCancel(context.Background())
	o.View, o.Config, o.Quit, o.Stop = v, g.config, quit.Done(), cancel
	events := pipeline.Add(p, "view", pipeline.Source(p, "listen", view.Listen(g.config.Feed.Socket)), v)
	pipeline.Sink(p, "serve", events, New(o))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(graph) }()
	stop = sync.OnceFunc(func() {
		end()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
		cancel()
	})
	g.t.Cleanup(stop)
	return stop
}

// get returns the answer to a request, which must have a status code.
func (g *gateway) get(code int, path string) string {
	g.t.Helper()
	r, err := http.Get(g.url + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != code {
		g.t.Fatalf("%s: %d, %v: %s; want %d", path, r.StatusCode, err, text, code)
	}
	return string(text)
}

// status returns the answer of /api/status.
func (g *gateway) status() (s struct {
	Monitor struct {
		Running, Connected bool
		Troubles           []string
	}
	Units []struct {
		Unit    string
		Health  string
		Crashes int
		Day     int `json:"crashes_24h"`
	}
	Seq uint64
}) {
	g.t.Helper()
	if err := json.Unmarshal([]byte(g.get(http.StatusOK, "/api/status")), &s); err != nil {
		g.t.Fatal(err)
	}
	return s
}

// A told is an event as a client gets it.
type told struct{ kind, id, data string }

// A client is a browser that follows: it comes back when the stream ends, with the last identity.
type client struct {
	g      *gateway
	after  string // of its first request
	last   string
	events chan told
	leave  context.CancelFunc
	drop   chan struct{} // ends the present stream
}

// follow starts a client.
func (g *gateway) follow(after string) *client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{g: g, after: after, events: make(chan told, 1000), leave: cancel, drop: make(chan struct{})}
	g.t.Cleanup(cancel)
	go func() {
		defer close(c.events)
		for ctx.Err() == nil {
			c.once(ctx)
			time.Sleep(time.Millisecond) // so that it does not spin while nobody serves; a browser waits, too
		}
	}()
	return c
}

// once reads one stream to its end.
func (c *client) once(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.drop:
			cancel()
		case <-ctx.Done():
		}
	}()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.g.url+"/events"+c.after, nil)
	if c.last != "" {
		r.Header.Set("Last-Event-ID", c.last)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	var e told
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			e.kind = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		case "":
			if e.id != "" {
				c.last = e.id
			}
			if e.data != "" {
				c.events <- e
			}
			e = told{}
		}
	}
}

// next returns the next event of some kinds.
func (c *client) next(kinds ...string) told {
	c.g.t.Helper()
	for {
		select {
		case e, ok := <-c.events:
			if !ok {
				c.g.t.Fatal("the client has ended")
			}
			if strings.Contains(strings.Join(kinds, " "), e.kind) {
				return e
			}
		case <-time.After(time.Minute):
			c.g.t.Fatalf("no %v within a minute", kinds)
		}
	}
}

// want wants the next events of the history to be those of all records from one on.
func (c *client) want(from int) (to int) {
	c.g.t.Helper()
	for i := from; i < len(c.g.seqs); i++ {
		e := c.next(view.Told, view.Reset)
		var event struct{ Seq uint64 }
		if err := json.Unmarshal([]byte(e.data), &event); err != nil || event.Seq != c.g.seqs[i] || e.kind != view.Told || e.id != fmt.Sprint(event.Seq) {
			c.g.t.Fatalf("event %d: %+v, want record %d", i, e, c.g.seqs[i])
		}
	}
	return len(c.g.seqs)
}

// chmod changes the rights of a file, until the test ends.
func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, info.Mode()) })
}
