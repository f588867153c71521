package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/stages/journald/records"
	"service-monitor/test/fakebus"
)

// discard is for a test that expects no signal.
var discard = pipelinetest.Each(func(bus.Signal) {})

func TestBusLostAndBack(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	first := <-r.signals
	watching := records.Clock()
	r.bus.Await("GetAll " + fakebus.Path("a.service"))
	r.bus.Drop()
	second := <-r.signals
	if first.Kind != bus.Snapshot || first.Watched != 0 {
		t.Errorf("%v, watched until %d; nothing was watched before", first.Kind, first.Watched)
	}
	if second.Kind != bus.Snapshot || second.Watched < watching || second.Watched > second.Clock {
		t.Errorf("%v, watched until %d, want from %d to %d", second.Kind, second.Watched, watching, second.Clock)
	}
	r.play(change("a.service", "failed"))
	r.want("changed a.service failed")
	r.stop()
	if got := r.counts(); got.Reconnects != 1 || got.Received != 1 || got.Gaps != 2 || got.GapOpen {
		t.Errorf("%+v, want one reconnect, one signal and two gaps: the start is one", got)
	}
}

func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	log, hook := logtest.NewNullLogger()
	l := make(fakebus.Lists, 1)
	l <- bus.List{Services: []string{"a.service"}}
	g := pipeline.New(nil)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", l), bus.New(log, nil, 2, 0)), discard)
	err := g.Run(context.Background())
	if !errors.Is(err, bus.ErrNoBus) || !strings.Contains(err.Error(), "(tried 3 times)") {
		t.Errorf("Run: %v, want %v after 3 attempts", err, bus.ErrNoBus)
	}
	if n := len(hook.AllEntries()); n != 2 {
		t.Errorf("%d warnings, want one for each retry", n)
	}
}

func TestAddressThatCannotBeUsed(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "tcp:host=localhost")
	log, _ := logtest.NewNullLogger()
	l := make(fakebus.Lists, 1)
	l <- bus.List{Services: []string{"a.service"}}
	g := pipeline.New(nil)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", l), bus.New(log, nil, 0, 0)), discard)
	if err := g.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "DBUS_SYSTEM_BUS_ADDRESS") {
		t.Errorf("Run: %v, want the variable to be named", err)
	}
}

func TestSubscribeRefused(t *testing.T) {
	b := fakebus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address)
	b.Reply("Subscribe", fakebus.Reply{Error: "org.freedesktop.DBus.Error.AccessDenied", Signature: "s", Body: fakebus.Body("not for you")})
	log, _ := logtest.NewNullLogger()
	l := make(fakebus.Lists, 1)
	l <- bus.List{Services: []string{"a.service"}}
	g := pipeline.New(nil)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", l), bus.New(log, nil, 1, 0)), discard)
	err := g.Run(context.Background())
	if want := "bus: no system bus: cannot call Subscribe: not for you (tried 2 times)"; err == nil || err.Error() != want {
		t.Errorf("Run: %v, want %s", err, want)
	}
}

// PID 1 has a new name after daemon-reexec; before 257 it may have forgotten us.
func TestNewOwnerIsFollowed(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("a.service active")(b)
		b.Reply("Subscribe", fakebus.Reply{Error: "org.freedesktop.systemd1.AlreadySubscribed", Signature: "s", Body: fakebus.Body("again?")})
	}, "a.service")
	r.want("snapshot a.service active")
	if err := r.bus.NewOwner(":1.99"); err != nil {
		t.Fatal(err)
	}
	r.want("snapshot a.service active")
	r.play(change("a.service", "failed")) // by the old name: refused
	say := change("a.service", "activating")
	if err := r.bus.Say(":1.99", fakebus.Path("a.service"), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", say.Body, say.Order); err != nil {
		t.Fatal(err)
	}
	r.want("changed a.service activating")
	r.stop()
}
