//go:build booted

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// asNobody is the beginning of a command that runs without any privileges.
const asNobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --bounding-set=-all "

// TestRefusals gives the daemon reasons not to start.
func TestRefusals(t *testing.T) {
	b := bootBed(t, map[string]string{"up.service": stays}, []string{"up.service"})
	b.sh("systemctl start service-monitor")
	tests := []struct {
		name string
		line string
		code int
		says string
	}{
		{"second instance", "-l /var/log/service-monitor/other.log", 75, stateFile + ": another monitor holds it"},
		{"second instance with its own state file", "-p /root/other.json", 75, logPath + ": another monitor holds it"},
		{"clear while one runs", "--clear", 75, "another monitor holds it"},
		{"no such directory", "-l /no/such/dir/file.log", 73, "/no/such/dir/file.log"},
		{"a log file that is none", "-p /root/other.json -l /dev/null", 73, "/dev/null: it is a device, not a regular file"},
		{"bad flag", "--sevices a.service", 64, "--services"},
		{"bad unit name", "--services a/b.service", 64, `"a/b.service"`},
		{"no such configuration", "--config /no/such/file", 78, "/no/such/file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			(&bed{b.Machine, t}).wantRefusal("exec /opt/service-monitor "+tt.line, tt.code, tt.says)
		})
	}
	t.Run("may not write", func(t *testing.T) {
		b := &bed{b.Machine, t}
		b.sh("systemctl stop service-monitor")
		b.wantRefusal(asNobody+"/opt/service-monitor", 73, logPath)
		b.wantRefusal(asNobody+"/opt/service-monitor -l /dev/shm/mine.log", 73, stateFile)
	})
	// None of these starts may have touched the files of the daemon.
	b.wantTidy()
}

// wantRefusal wants a command to end with this code, and with one line that says why.
func (b *bed) wantRefusal(line string, code int, says string) {
	b.t.Helper()
	ctx, cancel := b.bounded()
	defer cancel()
	out, err := b.Command(ctx, "sh", "-c", line).CombinedOutput()
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != code {
		b.t.Errorf("%s ended with %v, want status %d: %s", line, err, code, out)
	}
	if text := string(out); strings.Count(text, "\n") != 1 || !strings.Contains(text, says) {
		b.t.Errorf("%s said %q, want one line with %q", line, text, says)
	}
}

// TestBadConfigAtStart wants systemd not to restart the daemon after a bad configuration.
func TestBadConfigAtStart(t *testing.T) {
	b := bootBed(t, nil, []string{"up.service"}, "RestartSec=0")
	b.configure(t, map[string]any{"monitored_services": "up.service"})
	b.sh("! systemctl start service-monitor 2>/dev/null")
	b.wantShow("ActiveState", "failed")
	b.wantShow("ExecMainStatus", "78")
	b.wantShow("NRestarts", "0")
	b.awaitLog("", configFile, "monitored_services")
}

// TestNoBus starts the daemon on a machine whose bus is not there yet.
func TestNoBus(t *testing.T) {
	b := bootBed(t, map[string]string{"up.service": stays, "dbus.socket": "", "dbus.service": ""}, []string{"up.service"},
		"Restart=no", "ExecStart=", "ExecStart=/opt/service-monitor")
	b.configure(t, map[string]any{"monitored_services": []string{"up.service"}, "max_retries": 1})
	b.sh("! systemctl start service-monitor 2>/dev/null")
	b.wantShow("ExecMainStatus", "69")
	b.awaitLog("", "no system bus", "/run/dbus/system_bus_socket", "tried 2 times")

	b.configure(t, map[string]any{"monitored_services": []string{"up.service"}, "max_retries": 100})
	before := b.cursor()
	b.sh("systemctl start --no-block service-monitor")
	b.awaitLog(before, "cannot reach the system bus")
	b.wantShow("ActiveState", "activating")
	b.awaitShow("StatusText", "connecting to the system bus")
	b.sh("rm /etc/systemd/system/dbus.socket /etc/systemd/system/dbus.service; systemctl daemon-reload; systemctl start dbus.socket")
	b.sh("systemctl start service-monitor; systemctl start up")
	b.wantShow("ActiveState", "active")
	b.crash("up.service")
	b.awaitLog(before, "up.service", "Incrementing crash counter -> 1")
	b.sh("systemctl stop service-monitor")
	b.wantTruth("up.service")
}

// TestManyServices starts a monitor of very many services. Their snapshots are more than fits into the
// buffer in which it holds back changes.
func TestManyServices(t *testing.T) {
	t.Parallel()
	var services []string
	for i := range 500 {
		services = append(services, fmt.Sprintf("many@%d.service", i))
	}
	b := bootBed(t, map[string]string{"many@.service": stays}, services)
	b.sh("systemctl start many@1 service-monitor")
	b.crash("many@1.service")
	b.awaitCrashes("many@1.service", 1)
	b.sh("systemctl stop service-monitor")
	if state := readState(t, b.Machine); len(state) != len(services) || state["many@1.service"].Crashes != 1 {
		t.Errorf("%d services and %+v of one that crashed, want %d", len(state), state["many@1.service"], len(services))
	}
}
