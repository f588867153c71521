package bus_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"service-monitor/test/fakebus"
)

// As many units as there are have come by a glob: it is looked who is still there. The
// others are unloaded, and the glob is known up to here.
func TestCrowdIsSwept(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("run-0.service active")(b)
		b.Reply("ListUnitsByPatterns", listed("run-0.service"))
	}, "run-*.service")
	r.want("snapshot run-0.service active", "pattern run-*.service ")
	for i := range 128 {
		unit := fmt.Sprintf("run-%d.service", i+1)
		r.play(change(unit, "active"), change(unit, "inactive"))
		r.want("changed "+unit+" active", "changed "+unit+" inactive")
	}
	r.want("pattern run-*.service ")
	var gone []string
	for range 127 { // the last one has come since it was asked for
		s := <-r.signals
		gone = append(gone, show(s)+s.Glob)
	}
	if slices.ContainsFunc(gone, func(s string) bool {
		return !strings.HasPrefix(s, "unloaded run-") || !strings.HasSuffix(s, "run-*.service")
	}) {
		t.Errorf("told %q", gone)
	}
	r.play(change("run-128.service", "active"), change("run-1.service", "active"))
	r.want("changed run-128.service active", "changed run-1.service active")
	r.stop()
}

// A unit that has a unit file is none that comes and goes.
func TestUnitFilesStay(t *testing.T) {
	type file struct{ Path, State string }
	r := start(t, func(b *fakebus.Bus) {
		b.Reply("ListUnitsByPatterns", listed())
		b.Reply("ListUnitFilesByPatterns", fakebus.Reply{Signature: "a(ss)", Body: fakebus.Body([]file{{"/etc/systemd/system/sink-2.service", "enabled"}})})
	}, "sink-*.service")
	r.want("snapshot sink-2.service inactive", "pattern sink-*.service ")
	r.bus.Forget()
	r.bus.Drop()
	r.want("snapshot sink-2.service inactive", "pattern sink-*.service ")
	r.stop()
}

// named is the snapshot of a unit by one of its names.
func named(id, load, state string) []byte {
	p := properties(state)
	p["Id"], p["LoadState"] = dbus.MakeVariant(id), dbus.MakeVariant(load)
	return fakebus.Body(p)
}

// An alias goes, and what it named is followed. Then it is the name of another unit, and then
// a unit of its own.
func TestAliasThatGoes(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		b.Snapshot("web.service", named("nginx.service", "loaded", "active"))
		b.Snapshot("nginx.service", named("nginx.service", "loaded", "active"))
		b.Snapshot("apache.service", named("apache.service", "loaded", "inactive"))
	}, "web.service")
	r.want("snapshot web.service active")
	again := func(body []byte) {
		t.Helper()
		r.bus.Snapshot("web.service", body)
		r.bus.Forget()
		r.bus.Drop()
	}
	again(named("web.service", "not-found", "inactive"))
	r.want("snapshot web.service active")
	r.play(change("nginx.service", "failed"))
	r.want("changed web.service failed")
	again(named("apache.service", "loaded", "inactive"))
	r.want("snapshot web.service inactive")
	r.play(change("nginx.service", "active"), change("apache.service", "active"))
	r.want("changed web.service active")
	again(named("web.service", "loaded", "failed"))
	r.want("snapshot web.service failed")
	r.play(change("apache.service", "inactive"), change("web.service", "activating"))
	r.want("changed web.service activating")
	r.stop()
}
