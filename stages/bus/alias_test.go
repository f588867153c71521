package bus_test

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus"
	"service-monitor/test/fakebus"
)

// A unit that is monitored by an alias is announced by its own name alone.
func TestAlias(t *testing.T) {
	own := func(name string) []byte {
		p := properties("active")
		p["Id"] = dbus.MakeVariant(name)
		return fakebus.Body(p)
	}
	r := start(t, func(b *fakebus.Bus) {
		b.Snapshot("sshd.service", own("ssh.service"))
		b.Snapshot("syslog.service", own("syslog.service"))
		b.Snapshot("rsyslog.service", own("syslog.service"))
		b.Snapshot("dbus-org.x.service", own("x.service"))
		b.Reply("ListUnitsByPatterns", listed("dbus-org.x.service"))
	}, "syslog.service", "rsyslog.service", "sshd.service", "dbus-*.service")
	r.want("snapshot syslog.service active", "snapshot sshd.service active", "pattern dbus-*.service ")
	r.play(change("x.service", "failed"), change("syslog.service", "failed"), change("ssh.service", "failed"))
	r.want("changed syslog.service failed", "changed sshd.service failed")
	r.lists <- bus.List{Services: []string{"sshd.service"}}
	r.want("forgotten syslog.service ", "forgotten dbus-*.service ")
	r.play(change("ssh.service", "active"))
	r.want("changed sshd.service active")
	r.stop()
}

// named returns the snapshot of a unit whose own name is id.
func named(id, load, state string) []byte {
	p := properties(state)
	p["Id"], p["LoadState"] = dbus.MakeVariant(id), dbus.MakeVariant(load)
	return fakebus.Body(p)
}

// When an alias is removed, its unit is watched on. Later the alias names another unit, and at last
// it is a unit of its own.
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
