//go:build booted

package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// TestBusLost takes the bus away for a while. The units go on meanwhile. systemctl(1)
// as root needs no bus.
func TestBusLost(t *testing.T) {
	t.Parallel() // it mostly waits
	const loop, up, returns = "loop.service", "up.service", "returns.service"
	tests := []struct {
		name      string
		meanwhile string
	}{
		{"for a while", ""},
		{"and PID 1 is reloaded meanwhile", "systemctl daemon-reload"},
		{"and PID 1 is executed anew meanwhile", "systemctl daemon-reexec"},
	}
	b := bootBed(t, map[string]string{loop: flaps, up: stays, returns: stays + "Restart=always\nRestartSec=0\n"},
		[]string{loop, up, returns}, "WatchdogSec=1s") // shorter than an outage
	b.sh("systemctl start service-monitor; systemctl start loop returns")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			before, then := b.cursor(), b.truth()
			b.sh("systemctl start up; systemctl stop dbus.socket dbus.service")
			b.awaitShow("StatusText", "bus lost since ")
			b.wantShow("ActiveState", "active")
			b.crash(up)
			b.crash(returns)
			b.awaitCrashes(up, then[up].Crashes+1)
			b.awaitCrashes(returns, then[returns].Crashes+1)
			b.sh("systemctl start up; " + tt.meanwhile)
			b.crash(up)
			b.awaitLog(before, "cannot reach the system bus", "retry: 500ms")
			b.awaitLog(before, "cannot reach the system bus", "retry: 1s") // each pause is longer
			b.awaitCrashes(loop, b.truth()[loop].Crashes+5)
			b.wantShow("ActiveState", "active")
			b.awaitShow("StatusText", "bus lost since ")

			b.sh("systemctl start dbus.socket")
			b.awaitLog(before, "connected to the system bus")
			b.awaitShow("StatusText", "watching 3 services")
			b.sh("systemctl start up")
			b.crash(up)
			b.crash(returns)
			b.awaitCrashes(up, then[up].Crashes+3)
			b.awaitCrashes(returns, then[returns].Crashes+2)
			b.wantShow("NRestarts", "0")
		})
	}
	b.sh("systemctl stop loop; systemctl stop service-monitor")
	b.wantShow("Result", "success")
	b.wantTruth(loop, up, returns)
	b.wantLogged(loop, up, returns)
}

// TestUpgrade replaces the daemon as a package does, again and again, while units go on running.
func TestUpgrade(t *testing.T) {
	t.Parallel() // it mostly waits
	const loop, returns = "loop.service", "returns.service"
	next := filepath.Join(filepath.Dir(binary), "service-monitor-next")
	if err := build(next, "cmd/service-monitor", "-X main.version=next"); err != nil {
		t.Fatal(err)
	}
	o := gateway.Options{Units: map[string]string{loop: flaps, returns: stays + "Restart=always\nRestartSec=0\n"}}
	install(t, &o, []string{loop, returns}, "ExecStart=", "ExecStart=/srv/service-monitor")
	o.Binds["/opt/next"] = next
	b := newBed(t, o)
	b.sh("install /opt/service-monitor /srv/service-monitor; systemctl start service-monitor; systemctl start loop returns")
	for i, version := range []string{"/opt/next", "/opt/service-monitor", "/opt/next"} {
		before := b.cursor()
		b.crash(returns)
		b.sh("install " + version + " /srv/service-monitor.dpkg-new; mv /srv/service-monitor.dpkg-new /srv/service-monitor; " +
			"echo '# changed' >>/etc/systemd/system/" + monitorUnit + "; systemctl daemon-reload; systemctl restart service-monitor")
		b.crash(returns)
		b.awaitLife(returns, func(life gateway.Tally) bool { return life.Starts == 2*i+3 })
		said := b.awaitLog(before, "starting (", "version: ")
		if next := strings.HasSuffix(said, "version: next)"); next != (version == "/opt/next") {
			t.Errorf("it said %q after the upgrade to %s", said, version)
		}
	}
	b.sh("systemctl stop loop; systemctl stop service-monitor")
	b.wantTruth(loop, returns)
	b.wantLogged(loop, returns)
	for unit, s := range readState(t, b.Machine) {
		if s.AtLeast {
			t.Errorf(`%s: "at_least" is true`, unit)
		}
	}
}
