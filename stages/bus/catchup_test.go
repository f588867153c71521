package bus_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"service-monitor/test/fakebus"
)

func entered(state string, at uint64) []byte {
	p := properties(state)
	p["StateChangeTimestampMonotonic"] = dbus.MakeVariant(at)
	return fakebus.Body(p)
}

// A unit that is in another state, and has announced nothing, is the sign of a
// subscription that systemd has forgotten: everything is begun anew.
func TestForgottenSubscription(t *testing.T) {
	since := func(at uint64) fakebus.Reply {
		return fakebus.Reply{Signature: "v", Body: fakebus.Body(dbus.MakeVariant(at))}
	}
	r := startAudited(t, 10*time.Millisecond, func(b *fakebus.Bus) {
		b.Snapshot("a.service", entered("active", 100))
		b.Reply("Get", since(100))
	}, "a.service")
	r.want("snapshot a.service active")
	for range 3 { // all is well
		r.bus.Await("Get org.freedesktop.systemd1.Unit")
	}
	r.play(change("a.service", "activating")) // and said so
	r.want("changed a.service activating")
	r.bus.Snapshot("a.service", entered("failed", 200))
	r.bus.Reply("Get", since(200)) // nobody asks for it until the snapshot is there
	r.sync("a.service")
	r.want("snapshot a.service failed")
	r.bus.Snapshot("a.service", entered("inactive", 300))
	r.bus.Reply("Get", since(300)) // behind our back
	r.want("snapshot a.service inactive")
	r.stop()
	var reports int
	for _, e := range r.log.AllEntries() {
		if strings.Contains(fmt.Sprint(e.Data["error"]), "systemd no longer announces what happens: a.service has changed") {
			reports++
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, want 1", reports)
	}
}

func TestDoubtBeginsAGap(t *testing.T) {
	r := start(t, snapshots("a.service active", "b.service active"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service active")
	r.doubt()
	r.want("snapshot a.service active", "snapshot b.service active")
	r.stop()
}

// A stage that does not receive never stops the reading; what does not fit is
// told of, and the unit's state asked for.
func TestFallingBehindIsDeclaredAndHealed(t *testing.T) {
	r := start(t, snapshots("a.service active", "b.service active"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service active")
	flood := change("a.service", "activating")
	flood.Body = fakebus.Body("org.freedesktop.systemd1.Unit", map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("activating"), "Filler": dbus.MakeVariant(strings.Repeat("x", 100_000)),
	}, []string{})
	for range 200 { // 20 MB: the bus would be held up if they were not read
		r.play(flood)
	}
	r.play(change("b.service", "failed"))
	counts := map[string]int{}
	// On a busy machine, the change of b.service may be among what does not fit, too.
	told := func() int { return counts["changed b.service failed"] + counts["snapshot b.service active"] }
	for s := range r.signals {
		// On a busy machine, the snapshot comes amid the flood, the rest of which is handed on.
		if healed := counts["snapshot a.service active"] > 0; !healed || s.Unit != "a.service" {
			counts[show(s)]++
		}
		if counts["snapshot a.service active"] > 0 && told() > 0 {
			break
		}
	}
	if n := counts["changed a.service activating"]; n == 0 || n > 60 {
		t.Errorf("%d changes were handed on, want those that fit", n)
	}
	if told() != 1 {
		t.Errorf("handed on %v, want what happened to b.service, too", counts)
	}
	r.stop()
}
