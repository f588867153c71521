package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/bus/plan"
	"service-monitor/test/fakebus"
)

// soon is far more time than a fake bus needs, even on a busy machine.
const soon = time.Minute

const waits, runs = "waits.service", `a\x2db@1.service`

// start returns a bus whose systemd has two services.
func start(t *testing.T) *fakebus.Bus {
	t.Helper()
	b := fakebus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address)
	b.Snapshot(waits, fakebus.Body(map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("activating"), "SubState": dbus.MakeVariant("auto-restart"), "StateChangeTimestampMonotonic": dbus.MakeVariant(uint64(7_000_000)),
		"Restart": dbus.MakeVariant("on-failure"), "RestartUSec": dbus.MakeVariant(uint64(5_000_000)), "RestartUSecNext": dbus.MakeVariant(uint64(9_000_000)),
		"StartLimitIntervalUSec": dbus.MakeVariant(uint64(10_000_000)), "StartLimitBurst": dbus.MakeVariant(uint32(5)),
		"TriggeredBy": dbus.MakeVariant([]string{"waits.timer"}), "Job": dbus.MakeVariant(struct {
			ID   uint32
			Path dbus.ObjectPath
		}{0, "/"}),
	}))
	b.Snapshot(runs, fakebus.Body(map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("active"), "SubState": dbus.MakeVariant("running"), "Restart": dbus.MakeVariant("always"),
		"RestartUSec": dbus.MakeVariant(uint64(100_000)), "StartLimitIntervalUSec": dbus.MakeVariant(uint64(math.MaxUint64)),
		"StartLimitBurst": dbus.MakeVariant("five"), "Job": dbus.MakeVariant(struct {
			ID   uint32
			Path dbus.ObjectPath
		}{12, "/org/freedesktop/systemd1/job/12"}),
	}))
	return b
}

func TestAsk(t *testing.T) {
	start(t)
	want := map[string]plan.Plan{
		waits: {
			Active: "activating", Sub: "auto-restart", Entered: 7_000_000, Restart: "on-failure", Pause: 5 * time.Second, Delay: 9 * time.Second,
			Burst: 5, Interval: 10 * time.Second, TriggeredBy: []string{"waits.timer"},
		},
		// An older systemd has no RestartUSecNext, and a value of another type is none.
		runs:           {Active: "active", Sub: "running", Queued: true, Restart: "always", Pause: 100 * time.Millisecond, Delay: 100 * time.Millisecond, Interval: plan.Forever},
		"none.service": {Active: "inactive", Sub: "dead"},
	}
	if diff := cmp.Diff(want, plan.Ask(soon, []string{waits, runs, "none.service"})); diff != "" {
		t.Error(diff)
	}
}

// Whoever asks gets what there is, and no more, if the bus is not there, refuses, or does not answer.
func TestAskNobody(t *testing.T) {
	b := start(t)
	if plans := plan.Ask(soon, nil); len(plans) != 0 {
		t.Errorf("nothing was asked: %v", plans)
	}
	b.Reply("GetAll", fakebus.Reply{Error: "org.freedesktop.DBus.Error.AccessDenied"})
	if plans := plan.Ask(soon, []string{waits}); len(plans) != 0 {
		t.Errorf("refused: %v", plans)
	}
	b.Reply("GetAll", fakebus.Reply{Signature: "s", Body: fakebus.Body("no properties")})
	if plans := plan.Ask(soon, []string{waits}); len(plans) != 0 {
		t.Errorf("not what was asked for: %v", plans)
	}
	b.Reply("GetAll", fakebus.Reply{Error: "org.freedesktop.DBus.Error.NameHasNoOwner"})
	if plans := plan.Ask(soon, []string{waits}); len(plans) != 0 {
		t.Errorf("there is no systemd: %v", plans)
	}
	made, goOn := b.Hold("GetAll")
	go func() { <-made; b.Drop(); goOn() }()
	if plans := plan.Ask(soon, []string{waits}); len(plans) != 0 {
		t.Errorf("the bus is gone: %v", plans)
	}
	b.Reply("GetAll", fakebus.Reply{None: true})
	if plans := plan.Ask(time.Millisecond, []string{waits}); len(plans) != 0 {
		t.Errorf("no answer: %v", plans)
	}
	_, release := b.Hold("Hello")
	if plans := plan.Ask(time.Millisecond, []string{waits}); len(plans) != 0 {
		t.Errorf("no answer to Hello: %v", plans)
	}
	release()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	if plans := plan.Ask(soon, []string{waits}); len(plans) != 0 {
		t.Errorf("no bus: %v", plans)
	}
}
