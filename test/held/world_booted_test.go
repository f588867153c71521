//go:build booted

package held

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
	"service-monitor/test/fakebus"
	"service-monitor/test/fakejournal"
)

// limit is far more than anything that a test waits for takes.
const limit = 5 * time.Minute

// ledger is a last stage that keeps the tallies.
type ledger struct {
	mu      sync.Mutex
	tallies map[string]*count.Tally
	folded  map[string]bool // units whose counts are in the sum of their glob
	changed chan struct{}   // closed and replaced with each new tally
}

func (l *ledger) Run(ctx context.Context, p *pipeline.Port[count.Event, pipeline.None]) error {
	for {
		select {
		case events, ok := <-p.In:
			if !ok {
				return nil
			}
			l.keep(events)
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *ledger) keep(events []count.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if e.Kind == classify.Folded {
			l.folded[e.Unit] = true
		}
		l.tallies[e.Tally.Unit] = e.Tally
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) of(unit string) (count.Tally, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tally := l.tallies[unit]; tally != nil {
		return *tally, l.changed
	}
	return count.Tally{}, l.changed
}

// sum returns the starts and crashes of all units with a prefix.
func (l *ledger) sum(prefix string) (starts, crashes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for unit, tally := range l.tallies {
		if strings.HasPrefix(unit, prefix) && !l.folded[unit] {
			starts, crashes = starts+tally.Starts, crashes+tally.Crashes
		}
	}
	return starts, crashes
}

// counts is the part of a tally that the tests compare.
type counts struct {
	starts, stops, crashes uint64
	firstSeen              int64
	atLeast                bool
}

func of(c count.Tally) counts {
	return counts{c.Starts, c.Stops, c.Crashes, c.FirstSeenRunning, c.AtLeast}
}

// state is the state of a unit in PID 1.
type state struct {
	active, sub, result string
	invocation          byte // 0 for none
	entered             uint64
}

// world is the monitor from the bus to the counts, with a bus and a journal that the test
// controls.
type world struct {
	t       *testing.T
	bus     *fakebus.Bus
	journal *fakejournal.Journal
	lists   fakebus.Lists
	doubt   func()
	counted *ledger
	states  map[string]state
	stop    func()
}

// newWorld makes a world in which the monitor does not run yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, journal: fakejournal.Start(t), bus: fakebus.Start(t), states: make(map[string]state),
		counted: &ledger{tallies: make(map[string]*count.Tally), folded: make(map[string]bool), changed: make(chan struct{})},
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", w.bus.Address)
	return w
}

// watch starts the monitor with the state that an earlier process has saved. every is the time
// between audits.
func (w *world) watch(every time.Duration, saved map[string]*count.Tally, services ...string) {
	w.t.Helper()
	log := logrus.New()
	log.SetOutput(w.t.Output())
	log.SetLevel(logrus.DebugLevel)
	known := make(map[string]bus.Known)
	lives := make(map[string]*classify.Life)
	for unit, tally := range saved {
		known[unit], lives[unit] = bus.Known{Cursor: tally.Life.Cursor}, tally.Life
	}
	lists := make(fakebus.Lists)
	w.lists = lists
	source := bus.New(log, known, 3, every)
	w.doubt = source.Doubt
	g := pipeline.New(nil)
	signals := pipeline.Add(g, "bus", pipeline.Source(g, "lists", lists), source)
	transitions := pipeline.Add(g, "classify", pipeline.Add(g, "decode", signals, decode.New(log)), classify.New(lives, source.Doubt))
	pipeline.Sink(g, "ledger", pipeline.Add(g, "count", transitions, count.New(log, saved, count.Now())), w.counted)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(context.Background()) }()
	lists <- bus.List{Services: services}
	w.stop = sync.OnceFunc(func() {
		close(lists)
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// runs makes a unit run, without a signal.
func (w *world) runs(unit string, invocation byte) {
	w.becomes(unit, state{"active", "running", "success", invocation, w.journal.Now()})
}

// becomes changes the state of a unit in PID 1, without a signal.
func (w *world) becomes(unit string, s state) {
	w.states[unit] = s
	w.bus.Snapshot(unit, fakebus.Body(s.properties("LoadState", "ActiveState", "SubState", "InvocationID", "Result", "NRestarts", "StateChangeTimestampMonotonic")))
}

func (s state) properties(names ...string) map[string]dbus.Variant {
	invocation := []byte{}
	if s.invocation > 0 {
		id := decode.Invocation{s.invocation}
		invocation = id[:]
	}
	all := map[string]any{
		"LoadState": "loaded", "ActiveState": s.active, "SubState": s.sub, "InvocationID": invocation,
		"Result": s.result, "NRestarts": uint32(0), "StateChangeTimestampMonotonic": s.entered,
	}
	properties := make(map[string]dbus.Variant)
	for _, name := range names {
		properties[name] = dbus.MakeVariant(all[name])
	}
	return properties
}

// announce changes the state of a unit in PID 1, and sends the signals as PID 1 does: first that
// of the service, then that of the unit.
func (w *world) announce(unit string, s state) {
	w.t.Helper()
	w.becomes(unit, s)
	w.say(unit, "Service", s.properties("Result", "NRestarts"))
	w.say(unit, "Unit", s.properties("ActiveState", "SubState", "InvocationID", "StateChangeTimestampMonotonic"))
}

func (w *world) say(unit, of string, properties map[string]dbus.Variant) {
	w.t.Helper()
	body := fakebus.Body("org.freedesktop.systemd1."+of, properties, []string{})
	if err := w.bus.Play(bus.Signal{Unit: unit, Order: binary.LittleEndian, Body: body}); err != nil {
		w.t.Fatal(err)
	}
}

// flood sends more than 4 MiB of signals about a unit, which is more than the monitor holds back.
func (w *world) flood(unit string) {
	w.t.Helper()
	properties := w.states[unit].properties("ActiveState")
	properties["Filler"] = dbus.MakeVariant(strings.Repeat("x", 64<<10))
	for range 80 {
		w.say(unit, "Unit", properties)
	}
}

// reload makes a unit announce two changes that do not change a counter.
func (w *world) reload(unit string) {
	w.t.Helper()
	for _, to := range [][2]string{{"reloading", "reload"}, {"active", "running"}} {
		s := w.states[unit]
		s.active, s.sub, s.entered = to[0], to[1], w.journal.Now()
		w.announce(unit, s)
	}
}

// start starts a unit: PID 1 announces the invocation, then the state, and writes.
func (w *world) start(unit string, invocation byte) {
	w.t.Helper()
	s := w.states[unit]
	if s.active == "" {
		s = state{active: "inactive", sub: "dead"} // the unit was not loaded
	}
	s.invocation, s.result = invocation, "success"
	w.announce(unit, s)
	w.journal.Write(startOf(unit, invocation))
	w.announce(unit, state{"active", "running", "success", invocation, w.journal.Now()})
}

// crash kills a unit: PID 1 writes before it announces the state.
func (w *world) crash(unit string) {
	w.t.Helper()
	s := w.states[unit]
	w.journal.Write(crashOf(unit, s.invocation))
	w.announce(unit, state{"failed", "failed", "signal", s.invocation, w.journal.Now()})
}

// startOf and crashOf return the record that PID 1 writes about a start and about a crash.
func startOf(unit string, invocation byte) fakejournal.Record {
	return about(unit, fakejournal.Started, invocation)
}
func crashOf(unit string, invocation byte) fakejournal.Record {
	return about(unit, fakejournal.Failed, invocation, "UNIT_RESULT=signal")
}

func about(unit, message string, invocation byte, more ...string) fakejournal.Record {
	fields := []string{"_PID=1", "MESSAGE_ID=" + message, "UNIT=" + unit, fmt.Sprintf("INVOCATION_ID=%02x%030d", invocation, 0)}
	return fakejournal.Record{Fields: append(fields, more...)}
}

// await returns when ok is true for the tally of a unit.
func (w *world) await(what, unit string, ok func(count.Tally) bool) {
	w.t.Helper()
	for late := time.After(limit); ; {
		tally, changed := w.counted.of(unit)
		if ok(tally) {
			return
		}
		select {
		case <-changed:
		case <-late:
			w.t.Fatalf("%s is not %s; counted %+v, life %+v", unit, what, of(tally), tally.Life)
		}
	}
}

// awaitSeen returns when a unit is watched. All other units that exist are watched then, too.
func (w *world) awaitSeen(unit string) {
	w.t.Helper()
	w.await("seen", unit, func(c count.Tally) bool { return c.Life.Known() })
}

// awaitGap returns when the journal was read for a unit up to a place or further, and the unit's
// events were counted.
func (w *world) awaitGap(unit string, behind records.Place) {
	w.t.Helper()
	w.await("caught up with", unit, func(c count.Tally) bool {
		if !c.Life.Known() {
			return false
		}
		_, clock := c.Life.Cursor.Made()
		return clock > 0 && behind.Before(c.Life.Cursor) // at 0 a boot begins that is yet to be read
	})
}

// awaitCall returns when the monitor makes a call.
func (w *world) awaitCall(call string) {
	w.t.Helper()
	for made := make(chan string); ; {
		go func() { made <- w.bus.Called() }()
		select {
		case c := <-made:
			if c == call {
				return
			}
		case <-time.After(limit):
			w.t.Fatalf("the monitor does not call %s", call)
		}
	}
}

// want stops the monitor and compares its counts. Before it stops, the monitor counts all signals
// that PID 1 has sent.
func (w *world) want(unit string, want counts) {
	w.t.Helper()
	w.stop()
	tally, _ := w.counted.of(unit)
	if got := of(tally); got != want {
		w.t.Errorf("%s (-want +got)\n- %+v\n+ %+v", unit, want, got)
	}
}
