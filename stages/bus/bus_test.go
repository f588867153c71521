package bus_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/test/fakebus"
)

// rig is a source that runs against a fake bus.
type rig struct {
	t       *testing.T
	bus     *fakebus.Bus
	lists   fakebus.Lists
	signals chan bus.Signal
	systemd *pipelinetest.Notifier
	log     *logtest.Hook
	ended   chan error
	doubt   func()
	counts  func() bus.Counts
}

// start starts a source; prepare sets up the bus first.
func start(t *testing.T, prepare func(*fakebus.Bus), services ...string) *rig {
	t.Helper()
	return startAudited(t, 0, prepare, services...)
}

// startAudited starts one that audits.
func startAudited(t *testing.T, every time.Duration, prepare func(*fakebus.Bus), services ...string) *rig {
	t.Helper()
	b := fakebus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address)
	if prepare != nil {
		prepare(b)
	}
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	source := bus.New(log, nil, 0, every)
	r := &rig{t, b, make(fakebus.Lists), make(chan bus.Signal), pipelinetest.NewNotifier(0), hook, make(chan error, 1), source.Doubt, source.Counts}
	g := pipeline.New(r.systemd)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", r.lists), source), pipelinetest.Forward(r.signals))
	go func() { r.ended <- g.Run(context.Background()) }()
	r.lists <- bus.List{Services: services}
	return r
}

// stop stops the source and returns what came on the way.
func (r *rig) stop() []string {
	r.t.Helper()
	close(r.lists)
	var rest []string
	for s := range r.signals {
		rest = append(rest, show(s))
	}
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	return rest
}

// want checks the next signals.
func (r *rig) want(want ...string) {
	r.t.Helper()
	for _, w := range want {
		s, ok := <-r.signals
		if got := show(s); !ok || got != w {
			r.t.Fatalf("received %q (%v), want %q", got, ok, w)
		}
	}
}

func show(s bus.Signal) string {
	kind := s.Kind.String()
	return kind + " " + s.Unit + " " + state(s)
}

// state is the ActiveState of a body, by godbus.
func state(s bus.Signal) string {
	for _, word := range []string{"activating", "inactive", "active", "failed"} {
		if strings.Contains(string(s.Body), "\x00"+word+"\x00") {
			return word
		}
	}
	return ""
}

func properties(state string) map[string]dbus.Variant {
	return map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(state)}
}

func change(unit, state string) bus.Signal {
	return bus.Signal{
		Unit: unit, Order: binary.LittleEndian,
		Body: fakebus.Body("org.freedesktop.systemd1.Unit", properties(state), []string{}),
	}
}

func snapshots(states ...string) func(*fakebus.Bus) {
	return func(b *fakebus.Bus) {
		for _, s := range states {
			unit, state, _ := strings.Cut(s, " ")
			b.Snapshot(unit, fakebus.Body(properties(state)))
		}
	}
}

func (r *rig) play(signals ...bus.Signal) {
	r.t.Helper()
	if err := r.bus.Play(signals...); err != nil {
		r.t.Fatal(err)
	}
}

// sync returns when the source has read all that the bus sent: it asks again
// when PID 1 is back.
func (r *rig) sync(unit string) {
	r.t.Helper()
	if err := r.bus.NewOwner(fakebus.PID1); err != nil {
		r.t.Fatal(err)
	}
	r.bus.Await("GetAll " + fakebus.Path(unit))
}

func TestSnapshotThenChangesInOrder(t *testing.T) {
	r := start(t, snapshots("a.service active", "b.service inactive"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service inactive")
	r.play(change("a.service", "failed"), change("nobody.service", "failed"), change("b.service", "activating"), change("a.service", "active"))
	r.want("changed a.service failed", "changed b.service activating", "changed a.service active")
	r.sync("a.service")
	if rest := slices.DeleteFunc(r.stop(), isSnapshot); len(rest) > 0 {
		t.Errorf("at the end: %q", rest)
	}
}

func isSnapshot(s string) bool { return strings.HasPrefix(s, "snapshot ") }

func TestSubscribesBeforeItAsks(t *testing.T) {
	r := start(t, nil, `a-b@c\x2dd.service`)
	path := `/org/freedesktop/systemd1/unit/a_2db_40c_5cx2dd_2eservice`
	for _, want := range []string{
		"Hello", "AddMatch type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.systemd1'",
		"GetNameOwner org.freedesktop.systemd1",
		"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='Reloading',path='/org/freedesktop/systemd1'",
		"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path='" + path + "'",
		"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path='/org/freedesktop/systemd1/unit/shutdown_2etarget'",
		"Subscribe", "Get org.freedesktop.systemd1.Manager", "Get org.freedesktop.systemd1.Manager",
	} {
		if got := r.bus.Called(); got != want {
			t.Errorf("called %s, want %s", got, want)
		}
	}
	r.bus.Await("GetAll " + path)
	r.want(`snapshot a-b@c\x2dd.service inactive`)
	r.stop()
}

func TestReadyAfterTheSnapshot(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	r.want("snapshot a.service active")
	r.systemd.Await("READY=1")
	r.stop()
}

func TestDaemonReloadAsksAgain(t *testing.T) {
	r := start(t, nil, "a.service")
	r.want("snapshot a.service inactive")
	for _, active := range []bool{true, false} {
		err := r.bus.Say(fakebus.PID1, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Reloading", "b", fakebus.Body(active), binary.LittleEndian)
		if err != nil {
			t.Fatal(err)
		}
	}
	r.want("checked a.service inactive")
	if rest := r.stop(); rest != nil {
		t.Errorf("more came: %q", rest)
	}
}

func TestReloadOfTheList(t *testing.T) {
	r := start(t, snapshots("a.service active", "c.service failed"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service inactive")
	r.lists <- bus.List{Services: []string{"a.service", "c.service"}}
	r.want("forgotten b.service ", "snapshot c.service failed")
	r.play(change("b.service", "failed"), change("c.service", "active"), change("a.service", "failed"))
	r.want("changed c.service active", "changed a.service failed")
	r.stop()
}

func TestKnownUnitsThatAreNotMonitoredAreForgotten(t *testing.T) {
	r := start(t, nil)
	r.lists <- bus.List{Services: []string{"a.service"}}
	r.want("snapshot a.service inactive")
	r.stop()
}
