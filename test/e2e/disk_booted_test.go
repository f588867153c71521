//go:build booted

package e2e

import (
	"strings"
	"testing"
)

const (
	stateDir = "/var/lib/service_monitor"
	logDir   = "/var/log/service-monitor"
)

// fill fills the file system of a directory.
const fill = `fill() { dd if=/dev/zero of="$1/fill" bs=512 2>/dev/null || :; }; `

// TestDisk takes the disk away from the daemon, and gives it back. The daemon must go on counting,
// say what is wrong, and write everything later.
func TestDisk(t *testing.T) {
	t.Parallel() // it mostly waits
	const unit, trigger = "flaps.service", "trigger.service"
	b := bootBed(t, map[string]string{unit: flaps, trigger: stays}, []string{unit, trigger})
	b.configure(t, map[string]any{"monitored_services": []string{unit, trigger}, "history_size": 1 << 16})
	b.sh("mkdir -p " + stateDir + " " + logDir)
	b.sh("mount -t tmpfs -o size=192k,mode=755 tmpfs " + stateDir + "; mount -t tmpfs -o size=128k,mode=755 tmpfs " + logDir)
	b.sh("systemctl start service-monitor; systemctl start trigger")
	// These commands see the file systems as the daemon does in its sandbox.
	inside := "nsenter -t $(systemctl show -P MainPID service-monitor) -m "
	tests := []struct {
		name         string
		take, giving string
		status       []string
	}{
		{
			"full", fill + "fill " + stateDir + "; fill " + logDir,
			"rm " + stateDir + "/fill " + logDir + "/fill",
			[]string{"cannot save state since", "cannot write the log file since"},
		},
		{
			"read-only", inside + "mount --bind -o ro " + stateDir + " " + stateDir,
			inside + "umount " + stateDir,
			[]string{"cannot save state since"},
		},
		{
			"a pipe in the log's place", "cd " + logDir + "; mv service-monitor.log aside; mkfifo -m 666 service-monitor.log",
			"cd " + logDir + "; mv aside service-monitor.log",
			[]string{"cannot write the log file since"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			before := b.cursor()
			b.sh(tt.take)
			b.sh("systemctl start flaps")
			b.awaitCrashes(unit, b.truth()[unit].Crashes+20) // so many that their lines fill more than a page
			for _, text := range tt.status {
				b.awaitShow("StatusText", text)
			}
			b.sh("systemctl stop flaps; systemctl restart trigger")
			b.awaitLog(before, trigger, "Incrementing stop counter")
			b.wantShow("ActiveState", "active")

			b.sh(tt.giving)
			b.awaitProperty("StatusText", "no failure", func(value string) bool {
				return strings.HasPrefix(value, "watching 2 services, 1 active, last crash "+unit+" ") && !strings.Contains(value, ";") // just now, or a minute ago
			})
			if strings.Contains(tt.status[0], "state") {
				b.wantTruth(unit, trigger) // the state was saved without a stop
			}
		})
	}
	b.awaitLog("", "state is not saved; monitoring goes on", stateFile)
	b.sh("systemctl stop service-monitor")
	b.wantTruth(unit, trigger)
	b.wantLogged(unit, trigger)
	for line := range strings.Lines(b.readLog()) {
		if !strings.Contains(line, " - [") || !strings.HasSuffix(line, "\n") {
			t.Errorf("a torn line: %q", line)
		}
	}
}
