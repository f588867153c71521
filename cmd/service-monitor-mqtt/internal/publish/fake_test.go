package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/broker"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/journald/records"
)

// A world is what is around a stage: the chronicle, the view, and a broker that does as the test says.
type world struct {
	t        *testing.T
	dir      string
	store    *store.Store
	after    map[string]store.Counts
	seq      uint64 // of the last record
	units    map[string]uint64
	events   chan view.Event
	cursor   *memory
	log      strings.Builder
	stop     context.CancelFunc
	ended    chan error
	mu       sync.Mutex
	sent     []topics.Message // that the broker has acknowledged
	times    []time.Time      // of sent
	dials    []time.Time
	wills    []topics.Message
	refuses  error         // of a connect
	fails    int           // acknowledge so many more messages, and then lose the connection; -1 for never
	hangs    bool          // never acknowledge
	forbids  string        // refuse topics that end so; empty for none
	breaks   string        // lose the connection at topics that end so; empty for none
	hold     chan struct{} // if it is not nil, a write waits for it
	asked    time.Duration // how long Everything takes
	conn     *connection
	heard    func(topics.Message)
	farewell int // how many connections were closed
}

// memory is a cursor without files.
type memory struct {
	mu     sync.Mutex
	at     cursor.Position
	closed bool
}

func (m *memory) Moved(p cursor.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	units := map[string]uint64{}
	for name, n := range p.Units {
		units[name] = n
	}
	m.at, m.at.Units = p, units
	return nil
}

func (m *memory) Due() time.Time { return time.Time{} }
func (m *memory) Save() error    { return nil }
func (m *memory) Close() error   { m.closed = true; return nil }

// newWorld returns a world whose chronicle may have so many bytes.
func newWorld(t *testing.T, size int64) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "chronicle"), after: map[string]store.Counts{}, units: map[string]uint64{}, cursor: &memory{}, fails: -1}
	w.open(size)
	return w
}

func (w *world) open(size int64) {
	w.t.Helper()
	s, _, err := store.Open(w.dir, size, func(*store.Record) {})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = s
	w.t.Cleanup(s.Close)
}

// happen writes records of a unit.
func (w *world) happen(unit string, kinds ...store.Kind) {
	w.t.Helper()
	var list []store.Record
	for _, k := range kinds {
		r := store.Record{Kind: k, Time: time.Now(), Boot: records.Boot(), Monotonic: 1, Unit: unit, Delta: store.Single(k, 0)}
		if unit != "" {
			w.after[unit] = w.after[unit].Plus(r.Delta)
			r.After = w.after[unit]
			w.units[unit] = sum(r.After)
		}
		list = append(list, r)
	}
	for len(list) > 0 {
		n, err := w.store.Append(list)
		if err != nil {
			w.t.Fatal(err)
		}
		w.seq = list[n-1].Seq
		list = list[n:]
	}
}

// tell has the view tell a unit, and the last record.
func (w *world) tell(unit string) {
	w.events <- w.unit(unit)
	w.events <- view.Event{Kind: view.Told, Seq: w.seq}
}

func (w *world) unit(name string) view.Event {
	c := w.after[name]
	data, err := json.Marshal(topics.Unit{Unit: name, Health: "running", Starts: uint64(c.Starts), Crashes: uint64(c.Crashes), Restarts: uint64(c.Restarts)})
	if err != nil {
		w.t.Fatal(err)
	}
	return view.Event{Kind: view.Changed, Data: data}
}

func (w *world) Everything(context.Context) (all []view.Event, err error) {
	time.Sleep(w.asked)
	all = append(all, view.Event{Kind: view.Monitor, Data: []byte(`{"running":true}`)})
	for name := range w.units {
		all = append(all, w.unit(name))
	}
	return all, nil
}

func (w *world) Refresh(context.Context) error { return nil }

// run runs a stage. The view is ready at once.
func (w *world) run(change ...func(*Options)) {
	w.t.Helper()
	scheme, err := topics.New("plain", topics.Options{Gateway: "gw"})
	if err != nil {
		w.t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Writer(&w.log))
	o := Options{
		Log: log, Connect: w.connect, Explain: func(err error) string { return err.Error() }, Scheme: scheme, Under: Under("plain", topics.Options{Gateway: "gw"}),
		Cursor: w.cursor, At: w.cursor.at, History: w.dir, LeftOut: func(string) bool { return false }, Rate: 50, View: w, Calm: func() {},
	}
	for _, f := range change {
		f(&o)
	}
	w.events, w.ended = make(chan view.Event), make(chan error, 1)
	ctx, stop := context.WithCancel(w.t.Context())
	w.stop = stop
	g := pipeline.New(nil)
	pipeline.Sink(g, "publish", pipeline.Source(g, "play", pipelinetest.Feed(w.events)), New(o))
	go func() { w.ended <- g.Run(ctx) }()
	w.events <- view.Event{Kind: view.Ready, Seq: w.seq}
}

// end stops the stage, and waits for it.
func (w *world) end() {
	w.t.Helper()
	synctest.Wait()
	w.stop()
	if err := <-w.ended; err != nil {
		w.t.Errorf("the stage has ended with %v", err)
	}
}

var errAway = errors.New("nobody is there")

func (w *world) connect(_ context.Context, will topics.Message, heard func(topics.Message)) (Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials = append(w.dials, time.Now())
	if w.refuses != nil {
		return nil, w.refuses
	}
	w.wills, w.heard = append(w.wills, will), heard
	w.conn = &connection{w: w, done: make(chan struct{})}
	return w.conn, nil
}

// A connection is a connection to the broker of a world.
type connection struct {
	w    *world
	done chan struct{}
	once sync.Once
}

func (c *connection) Publish(ctx context.Context, messages []topics.Message) (int, error) {
	w := c.w
	w.mu.Lock()
	hangs, hold := w.hangs, w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if hangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range messages {
		if w.fails == 0 || w.breaks != "" && strings.HasSuffix(m.Topic, w.breaks) {
			w.fails = -1
			c.lose()
			return i, errAway
		}
		if w.forbids != "" && strings.HasSuffix(m.Topic, w.forbids) {
			return i, fmt.Errorf("%w: %s", broker.ErrRefused, m.Topic)
		}
		w.fails = max(w.fails-1, -1)
		w.sent, w.times = append(w.sent, m), append(w.times, time.Now())
	}
	return len(messages), nil
}

func (c *connection) lose()                 { c.once.Do(func() { close(c.done) }) }
func (c *connection) Done() <-chan struct{} { return c.done }
func (c *connection) Err() error            { return errAway }
func (c *connection) Close(context.Context) { c.w.farewell++; c.lose() }

// lose loses the connection.
func (w *world) lose() {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.lose()
}

// connects returns how often the stage has tried to connect.
func (w *world) connects() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dials)
}

// published returns the payloads on topics that end so.
func (w *world) published(end string) (list []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.sent {
		if strings.HasSuffix(m.Topic, end) {
			list = append(list, string(m.Payload))
		}
	}
	return list
}

// told returns the events that were published, as "unit kind".
func (w *world) told() (list []string) {
	for _, text := range w.published("/event") {
		var e struct {
			Unit, Kind, Text string
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(fmt.Sprint(e.Unit, " ", e.Kind, " ", e.Text)))
	}
	return list
}
