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
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
	"service-monitor/test/fakebus"
)

// limit is far more than anything takes that is awaited.
const limit = 30 * time.Second

// A ledger keeps what was counted.
type ledger struct {
	mu      sync.Mutex
	tallies map[string]*count.Tally
	changed chan struct{} // closed, and made anew, with new ones
}

func (l *ledger) keep(e count.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tallies[e.Tally.Unit] = e.Tally
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

// counts are the part of a tally that the tests are about.
type counts struct {
	starts, stops, crashes uint64
	before                 int64
	atLeast                bool
}

func of(c count.Tally) counts { return counts{c.Starts, c.Stops, c.Crashes, c.Before, c.AtLeast} }

// state is what PID 1 shows of a unit.
type state struct {
	active, sub, result string
	invocation          byte // 0 for none
	entered             uint64
}

// world is the monitor, from the bus to the counts, on a bus and a journal that do
// what the test wants.
type world struct {
	t       *testing.T
	bus     *fakebus.Bus
	journal *journal
	lists   fakebus.Lists
	doubt   func()
	counted *ledger
	states  map[string]state
	stop    func()
}

// newWorld makes a world in which nobody watches yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, journal: startJournal(t), bus: fakebus.Start(t), lists: make(fakebus.Lists), states: make(map[string]state),
		counted: &ledger{tallies: make(map[string]*count.Tally), changed: make(chan struct{})},
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", w.bus.Address)
	return w
}

// watch starts the monitor, which audits as often as every, with what an earlier
// process has saved.
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
	source := bus.New(log, known, 3, every)
	w.doubt = source.Doubt
	g := pipeline.New(nil)
	signals := pipeline.Add(g, "bus", pipeline.Source(g, "lists", w.lists), source)
	transitions := pipeline.Add(g, "classify", pipeline.Add(g, "decode", signals, decode.New(log)), classify.New(lives, source.Doubt))
	pipeline.Sink(g, "ledger", pipeline.Add(g, "count", transitions, count.New(log, saved, count.Now())), pipelinetest.Each(w.counted.keep))
	ended := make(chan error, 1)
	go func() { ended <- g.Run(context.Background()) }()
	w.lists <- bus.List{Services: services}
	w.stop = sync.OnceFunc(func() {
		close(w.lists)
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// runs makes a unit one that runs.
func (w *world) runs(unit string, invocation byte) {
	w.becomes(unit, state{"active", "running", "success", invocation, w.journal.now()})
}

// becomes makes PID 1 show a state, without a word.
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

// announce makes PID 1 enter a state, and say so as it does: of the service first,
// then of the unit.
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

// flood says so much of a unit that it is not held back: more than 4 MiB.
func (w *world) flood(unit string) {
	w.t.Helper()
	properties := w.states[unit].properties("ActiveState")
	properties["Filler"] = dbus.MakeVariant(strings.Repeat("x", 64<<10))
	for range 80 {
		w.say(unit, "Unit", properties)
	}
}

// reload makes a unit announce two changes that count for nothing.
func (w *world) reload(unit string) {
	w.t.Helper()
	for _, to := range [][2]string{{"reloading", "reload"}, {"active", "running"}} {
		s := w.states[unit]
		s.active, s.sub, s.entered = to[0], to[1], w.journal.now()
		w.announce(unit, s)
	}
}

// start starts a unit: PID 1 announces the invocation, then the state, and writes.
func (w *world) start(unit string, invocation byte) {
	w.t.Helper()
	s := w.states[unit]
	if s.active == "" {
		s = state{active: "inactive", sub: "dead"} // it was not loaded
	}
	s.invocation, s.result = invocation, "success"
	w.announce(unit, s)
	w.journal.write(startOf(unit, invocation))
	w.announce(unit, state{"active", "running", "success", invocation, w.journal.now()})
}

// crash kills a unit: PID 1 writes before it announces the state.
func (w *world) crash(unit string) {
	w.t.Helper()
	s := w.states[unit]
	w.journal.write(crashOf(unit, s.invocation))
	w.announce(unit, state{"failed", "failed", "signal", s.invocation, w.journal.now()})
}

// startOf is what PID 1 writes of a start, and crashOf of a crash.
func startOf(unit string, invocation byte) record { return about(unit, started, invocation) }
func crashOf(unit string, invocation byte) record {
	return about(unit, failed, invocation, "UNIT_RESULT=signal")
}

func about(unit, message string, invocation byte, more ...string) record {
	fields := []string{"_PID=1", "MESSAGE_ID=" + message, "UNIT=" + unit, fmt.Sprintf("INVOCATION_ID=%02x%030d", invocation, 0)}
	return record{fields: append(fields, more...)}
}

// await returns when ok is true of what was counted of a unit.
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

// awaitSeen returns when a unit is watched. All that are there then are.
func (w *world) awaitSeen(unit string) {
	w.t.Helper()
	w.await("seen", unit, func(c count.Tally) bool { return c.Life.Known() })
}

// awaitGap returns when what the journal has of a unit was counted, up to behind a
// place.
func (w *world) awaitGap(unit string, behind records.Place) {
	w.t.Helper()
	w.await("caught up with", unit, func(c count.Tally) bool { return c.Life.Known() && behind.Before(c.Life.Cursor) })
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

// want stops the monitor, which first hands on what PID 1 has said, and compares.
func (w *world) want(unit string, want counts) {
	w.t.Helper()
	w.stop()
	tally, _ := w.counted.of(unit)
	if got := of(tally); got != want {
		w.t.Errorf("%s (-want +got)\n- %+v\n+ %+v", unit, want, got)
	}
}
