//go:build booted

package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/broker"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/publish"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/journald/records"
)

// services is how many each gateway has.
const services = 12

// A gateway is one of a fleet. It has a real history, a real cursor, a real connection, and the stage that publishes.
// Only what happens to its services is made up.
type gateway struct {
	name   string
	store  *store.Store
	events chan view.Event
	run    func(context.Context) error
	stop   context.CancelFunc // set when it runs

	mu     sync.Mutex
	counts [services]store.Counts
	seq    uint64
	told   []event // all that has happened
}

// An event is what a consumer recognises an event by.
type event struct {
	Seq  uint64
	Kind string
}

func unitName(i int) string { return fmt.Sprintf("service-%d.service", i) }

// traffic counts what all gateways have sent and the broker has acknowledged.
type traffic struct{ messages, bytes, connects atomic.Int64 }

// newGateway returns a gateway that publishes to a broker.
func newGateway(t *testing.T, i int, url, dir, memory string, sent *traffic) *gateway {
	t.Helper()
	g := &gateway{name: fmt.Sprintf("gateway-%04d", i), events: make(chan view.Event, 64)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	history := filepath.Join(dir, "chronicle")
	var err error
	g.store, _, err = store.Open(history, 256<<10, func(*store.Record) {})
	must(err)
	t.Cleanup(g.store.Close)
	g.events <- view.Event{Kind: view.Ready}
	file, at, err := cursor.Open(dir, memory)
	must(err)
	options := topics.Options{Gateway: g.name, Version: "9"}
	scheme, err := topics.New(topics.Plain, options)
	must(err)
	settings := broker.Settings{URL: url, KeepAlive: time.Minute}
	log := logrus.New()
	log.SetOutput(io.Discard) // a thousand gateways say the same
	stage := publish.New(publish.Options{
		Log: log, Scheme: scheme, Under: publish.Under(topics.Plain, options), Cursor: file, At: at, History: history, Rate: 50, View: g,
		LeftOut: func(string) bool { return false }, Calm: func() {}, Explain: func(err error) string { return broker.Explain(err, settings) },
		Connect: func(ctx context.Context, will topics.Message, heard func(topics.Message)) (publish.Conn, error) {
			conn, err := broker.Connect(ctx, broker.Options{Settings: settings, ClientID: g.name, Will: will, Heard: heard})
			if err != nil {
				return nil, err
			}
			sent.connects.Add(1)
			return counted{conn, sent}, nil
		},
	})
	g.run = func(ctx context.Context) error {
		graph := pipeline.New(nil)
		pipeline.Sink(graph, "publish", pipeline.Source(graph, "play", pipelinetest.Feed(g.events)), stage)
		return graph.Run(ctx)
	}
	return g
}

// counted counts what is acknowledged.
type counted struct {
	publish.Conn
	sent *traffic
}

func (c counted) Publish(ctx context.Context, messages []topics.Message) (int, error) {
	n, err := c.Conn.Publish(ctx, messages)
	for _, m := range messages[:n] {
		c.sent.bytes.Add(int64(len(m.Topic) + len(m.Payload)))
	}
	c.sent.messages.Add(int64(n))
	return n, err
}

// happen writes to the history what happens to all services now, and tells it.
func (g *gateway) happen(kinds ...store.Kind) error {
	g.mu.Lock()
	var list []store.Record
	for i := range services {
		for _, k := range kinds {
			r := store.Record{Kind: k, Time: time.Now(), Boot: records.Boot(), Monotonic: 1, Unit: unitName(i), Delta: store.Single(k, 0)}
			if k == store.Crash {
				r.Result, r.Status = "signal", 9
			}
			g.counts[i] = g.counts[i].Plus(r.Delta)
			r.After = g.counts[i]
			list = append(list, r)
		}
	}
	for len(list) > 0 {
		n, err := g.store.Append(list)
		if err != nil {
			g.mu.Unlock()
			return err
		}
		for i := range list[:n] {
			g.seq = list[i].Seq
			for _, e := range tell.Events(&list[i]) {
				g.told = append(g.told, event{e.Seq, e.Kind})
			}
		}
		list = list[n:]
	}
	all, _ := g.everything()
	seq := g.seq
	g.mu.Unlock()
	for _, e := range append(all, view.Event{Kind: view.Told, Seq: seq}) {
		g.events <- e
	}
	return nil
}

// state returns how a service is.
func (g *gateway) state(i int) topics.Unit {
	c := g.counts[i]
	u := topics.Unit{
		Unit: unitName(i), Health: tell.Running, Words: "running", Active: "active", Sub: "running",
		Starts: uint64(c.Starts), Stops: uint64(c.Stops), Crashes: uint64(c.Crashes), Unknown: uint64(c.Unknown), Restarts: uint64(c.Restarts),
	}
	if c.Crashes > 0 {
		u.Health, u.Words, u.Attention, u.Retrying = tell.CrashLoop, "crash loop", true, true
	}
	return u
}

func (g *gateway) everything() (all []view.Event, err error) {
	all = append(all, view.Event{Kind: view.Monitor, Data: []byte(`{"running":true,"troubles":[]}`)})
	for i := range services {
		data, err := json.Marshal(g.state(i))
		if err != nil {
			return nil, err
		}
		all = append(all, view.Event{Kind: view.Changed, Data: data})
	}
	return all, nil
}

// Everything and Refresh make a view of it.
func (g *gateway) Everything(context.Context) ([]view.Event, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.everything()
}

func (g *gateway) Refresh(context.Context) error { return nil }
