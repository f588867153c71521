package feed

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A bench is a feed under test. Its sockets are real, so its tests run in real time and wait for
// what happens.
type bench struct {
	t      *testing.T
	socket string
	events chan count.Event
	stored chan store.Record // what the chronicle has written
	ready  *pipelinetest.Notifier
	log    *strings.Builder
	ended  chan error
	stop   func() // stops the feed, and returns when it has ended
	stage  *Stage
}

func start(t *testing.T, socket string, known ...*count.Tally) *bench {
	t.Helper()
	return startWith(t, socket, Backlog, known...)
}

// startWith starts a feed that is cut off if more than so many records wait for it.
func startWith(t *testing.T, socket string, backlog int, known ...*count.Tally) *bench {
	t.Helper()
	return startAs(t, socket, Monitor{Version: "1", State: "/s"}, backlog, known...)
}

// startAs starts the feed of a monitor.
func startAs(t *testing.T, socket string, monitor Monitor, backlog int, known ...*count.Tally) *bench {
	t.Helper()
	b := &bench{t: t, socket: socket, events: make(chan count.Event), stored: make(chan store.Record), log: &strings.Builder{}, ended: make(chan error, 1)}
	log := logrus.New()
	log.SetOutput(b.log)
	units := map[string]*count.Tally{}
	for _, tally := range known {
		units[tally.Unit] = tally
	}
	b.ready = pipelinetest.NewNotifier(0)
	g := pipeline.New(b.ready)
	events := pipeline.Source(g, "world", pipelinetest.Feed(b.events))
	newest := pipeline.Latest(g, events, func(e count.Event) string { return e.Unit })
	records := pipeline.Beside(pipeline.Cut(pipeline.Source(g, "chronicle", pipelinetest.Feed(b.stored)), backlog, func(int) {}))
	b.stage = New(log, socket, monitor, units, records, encode)
	joined := uint64(0)
	b.stage.Count(func() *Counters { joined++; return &Counters{Received: joined} })
	pipeline.Sink(g, "feed", newest, b.stage)
	stop, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { b.ended <- g.Run(stop) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-b.ended })
	t.Cleanup(b.stop)
	return b
}

// encode writes a record as two objects.
func encode(w io.Writer, r *store.Record) error {
	_, err := fmt.Fprintf(w, `{"seq":%d,"kind":"crash"}`+"\n"+`{"seq":%[1]d,"kind":"start"}`+"\n", r.Seq)
	return err
}

// tally returns a tally with so many crashes.
func tally(unit string, crashes uint64) *count.Tally {
	return &count.Tally{
		Unit: unit, State: "failed", Changed: time.Unix(5, 0), Starts: crashes, Crashes: crashes,
		LastCrash: &count.Crash{Time: time.Unix(4, 0), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "5b1f"},
		Life:      &classify.Life{ActiveState: "failed", SubState: "failed", GivenUp: true},
	}
}

func (b *bench) tell(k classify.Kind, t *count.Tally) {
	b.events <- count.Event{Transition: classify.Transition{Kind: k, Unit: t.Unit, Life: t.Life}, Tally: t}
}

// dial connects when the feed is ready.
func (b *bench) dial() net.Conn {
	b.t.Helper()
	b.ready.Await("READY=1")
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// listen listens until done returns true. It returns the units as they were then.
func (b *bench) listen(done func(units map[string]*count.Tally, m Message) bool) map[string]*count.Tally {
	b.t.Helper()
	b.ready.Await("READY=1")
	units := map[string]*count.Tally{}
	err := Listen(b.t.Context(), b.socket, func(m Message) bool {
		if m.Unit != nil {
			units[m.Unit.Name] = m.Unit.Tally()
		}
		delete(units, m.Gone)
		return !done(units, m)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return units
}

func TestFeed(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"), tally("a.service", 1), tally("b.service", 2))
	all := b.listen(func(_ map[string]*count.Tally, m Message) bool {
		if m.Monitor != nil && m.Monitor.State != "/s" {
			t.Errorf("%+v", m.Monitor)
		}
		return m.Complete
	})
	want := map[string]*count.Tally{"a.service": tally("a.service", 1), "b.service": tally("b.service", 2)}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(b.socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// A listener is told which units change, and which are gone.
	step := 0
	b.listen(func(units map[string]*count.Tally, m Message) bool {
		switch {
		case m.Complete:
			b.tell(classify.Crashed, tally("a.service", 2))
		case m.Unit != nil && m.Unit.Name == "a.service" && m.Unit.Crashes == 2 && step == 0:
			step = 1
			b.tell(classify.Forgotten, tally("b.service", 2))
		case m.Gone == "b.service":
			return len(units) == 1
		}
		return false
	})
}

// A listener is told what is wrong with the monitor, at first and when that changes.
func TestTroubles(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	var told []string
	b.listen(func(_ map[string]*count.Tally, m Message) bool {
		if m.Monitor != nil {
			told = append(told, fmt.Sprint(m.Monitor.Troubles, m.Monitor.Troubles == nil))
		}
		switch {
		case m.Complete:
			b.stage.Troubles([]string{"cannot save state", "bus lost"})
		case len(told) == 2 && m.Monitor != nil:
			b.stage.Troubles(nil)
		}
		return len(told) == 3
	})
	if want := []string{"[] false", "[cannot save state bus lost] false", "[] false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// A listener is told that the monitor has caught up after the units that have changed until then.
func TestCaughtUp(t *testing.T) {
	b := startAs(t, filepath.Join(t.TempDir(), "feed"), Monitor{CatchingUp: true}, Backlog, tally("a.service", 1))
	crashes := func(t *count.Tally) uint64 {
		if t == nil {
			return 0
		}
		return t.Crashes
	}
	var told []string
	b.listen(func(units map[string]*count.Tally, m Message) bool {
		switch {
		case m.Monitor != nil:
			told = append(told, fmt.Sprint(m.Monitor.CatchingUp, " ", crashes(units["a.service"])))
		case m.Complete:
			b.tell(classify.Crashed, tally("a.service", 2))
			b.tell(classify.Moved, tally("b.service", 0)) // so the one before has reached the feed
			b.stage.CaughtUp()
			b.stage.CaughtUp() // as after a reload
		}
		return len(told) == 2
	})
	if want := []string{"true 0", "false 2"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// The feed lasts until all is saved, although there are no more events. Whoever listens reads what was saved when
// the stream ends.
func TestOutlast(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "feed")
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := New(log, socket, Monitor{Version: "1"}, map[string]*count.Tally{"a.service": tally("a.service", 1)}, &pipeline.Second[store.Record]{}, encode)
	saved, ended := make(chan struct{}), make(chan error, 1)
	s.Outlast(saved)
	runs, end := context.WithCancel(t.Context())
	go func() { defer end(); ended <- s.Run(t.Context(), &port{}) }()
	told := false
	away := func(err error) error {
		select {
		case <-saved:
			return err
		default:
			return nil // it does not listen yet
		}
	}
	_ = Follow(runs, socket, func(m Message) bool {
		if told = told || m.Complete; m.Complete {
			close(saved)
		}
		return true
	}, away)
	if err := <-ended; err != nil || !told {
		t.Errorf("%v; told: %v", err, told)
	}
}
