//go:build lifecycle

package lifecycle

import (
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// TestLife takes one machine through the life of the package. Meanwhile the services start, stop
// and crash. All of that is counted, whether or not the monitor runs.
func TestLife(t *testing.T) {
	m := boot(t, nil)
	for _, step := range []struct {
		name string
		run  func(*machine)
	}{
		{"install", (*machine).install},
		{"watchdog", (*machine).watchdog},
		{"upgrade", (*machine).upgrade},
		{"disable", (*machine).disable},
		{"downgrade", (*machine).downgrade},
		{"reboot", (*machine).reboot},
		{"remove", (*machine).remove},
		{"reinstall", (*machine).reinstall},
		{"purge", (*machine).purge},
		{"install anew", (*machine).installAnew},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&machine{m.Machine, t}) }) {
			return // each step needs the one before it
		}
	}
}

func (m *machine) install() {
	m.apt("install service-monitor")
	m.wantRunning(older)
	m.want("dpkg --verify service-monitor", "")
	m.want("id -nG service-monitor", "service-monitor systemd-journal")
	m.want("systemctl show -P NRestarts "+unit, "0")
	m.trouble()
	m.stopped(m.wantTruth)
	m.want("journalctl --list-catalog | grep -c MONITOR_UNIT@", "11")
	m.want("journalctl -q -u "+unit+" -o cat | grep -c 'mosquitto.service: \\*\\*CRASH\\*\\*'", "2")
	m.want("grep -c 'mosquitto.service: \\*\\*CRASH\\*\\*' "+logFile, "2")
}

// stopped calls do while the monitor is stopped, and then starts the monitor again. The unit may
// be enabled or not.
func (m *machine) stopped(do func()) {
	m.t.Helper()
	m.sh("systemctl stop " + unit)
	do()
	m.sh("systemctl start " + unit)
}

// watchdog makes the monitor hang.
func (m *machine) watchdog() {
	const dropIn = "/run/systemd/system/service-monitor.service.d/watchdog.conf"
	if err := m.WriteFile(dropIn, "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n", 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.sh("systemctl daemon-reload; systemctl restart " + unit)
	m.sh("systemctl kill --kill-who=main -s STOP " + unit)
	m.crash("mosquitto.service")
	m.await(unit, func(now gateway.Tally) bool { return now.Running && now.Last.Result == "watchdog" })
	m.sh("until systemctl is-active --quiet " + unit + "; do :; done")
	m.stopped(m.wantTruth)
	m.sh("rm " + dropIn + "; systemctl daemon-reload; systemctl restart " + unit)
}

// upgrade keeps the counts and the configuration, and misses nothing in between.
func (m *machine) upgrade() {
	m.sh("sed -i 's/\"debug\": false/\"debug\": true/' " + config)
	m.customize()
	logged := m.sh("head -n 1 " + logFile)
	m.publish()
	m.sh("systemctl start mosquitto edger.endries")
	before := m.state()["edger.endries.service"].Crashes
	// It crashes as often as it can while apt works.
	m.sh("systemd-run --quiet --unit=storm sh -c 'while systemctl kill -s KILL edger.endries || true; do sleep 0.1; done'")
	m.apt("install service-monitor")
	m.sh("systemctl stop storm; systemctl stop edger.endries")
	m.wantRunning(newer)
	m.wantMoved()
	m.want("cat $(ls -tr "+logFile[:len(logFile)-len(".log")]+"*.log) | head -n 1", logged)
	if n := m.state()["edger.endries.service"].Crashes; n < before+3 {
		m.t.Errorf("edger.endries.service crashed %d times while apt was at work, want more for this to tell anything", n-before)
	}
	m.want("grep -c '\"debug\": true' "+config, "1")
	m.trouble()
	m.stopped(m.wantTruth)
}

// publish makes the newer version available to apt.
func (m *machine) publish() {
	m.t.Helper()
	m.use("/srv/then")
}

// use lets apt use a repository.
func (m *machine) use(repository string) {
	m.t.Helper()
	if err := m.WriteFile("/etc/apt/sources.list", source(repository), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.sh("apt-get update")
}

// disable disables the unit. It stays disabled after upgrades and downgrades, whether or not the
// monitor runs.
func (m *machine) disable() {
	m.sh("systemctl disable --now " + unit)
	m.apt("install --allow-downgrades service-monitor=" + older)
	m.want("systemctl is-enabled "+unit, "disabled")
	m.want("systemctl is-active "+unit, "inactive")
	m.crash("mosquitto.service")
	m.sh("systemctl start " + unit)
	m.apt("install service-monitor")
	m.want("systemctl is-enabled "+unit, "disabled")
	m.want("systemctl is-active "+unit, "active")
	m.wantVersion(newer)
	m.stopped(m.wantTruth)
	m.sh("systemctl mask --now " + unit)
	m.apt("install --reinstall service-monitor")
	m.want("systemctl is-enabled "+unit, "masked")
	m.want("systemctl is-active "+unit, "inactive")
	m.sh("systemctl unmask " + unit + "; systemctl enable " + unit)
	m.apt("install --reinstall service-monitor")
	m.wantRunning(newer)
}

func (m *machine) downgrade() {
	m.apt("install --allow-downgrades service-monitor=" + older)
	m.wantRunning(older)
	m.want("stat -c %F /usr/sbin/service-monitor; ls /usr/bin/service-monitor 2>/dev/null", "regular file")
	m.sh("rm -r " + dropIn[:len(dropIn)-len("/local.conf")] + "; systemctl daemon-reload; systemctl restart " + unit)
	m.want("grep -c '\"debug\": true' "+config, "1")
	m.trouble()
	m.stopped(m.wantTruth)
}

func (m *machine) reboot() {
	if err := m.PowerOff(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.PowerOn(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.wantRunning(older)
	m.trouble()
	m.stopped(m.wantTruth)
}

// remove removes the package. The counts, the log and the configuration stay.
func (m *machine) remove() {
	m.apt("remove service-monitor")
	m.want("systemctl show -P ActiveState "+unit, "inactive")
	m.want("systemctl show -P LoadState "+unit, "not-found")
	m.want("ls /usr/sbin/service-monitor /usr/bin/service-monitor 2>/dev/null", "")
	m.sh("test -s " + logFile)
	m.want("grep -c '\"debug\": true' "+config, "1")
	m.wantTruth()
}

// reinstall installs the package again. The monitor goes on with the old counts, and counts what
// has happened in between.
func (m *machine) reinstall() {
	m.trouble()
	m.apt("install service-monitor=" + older)
	m.wantRunning(older)
	m.want("grep -c '\"debug\": true' "+config, "1")
	m.stopped(m.wantTruth)
	m.sh("systemctl disable --now " + unit)
	m.apt("remove service-monitor")
	m.apt("install service-monitor=" + older)
	m.want("systemctl is-enabled "+unit, "disabled")
	m.want("systemctl is-active "+unit, "inactive")
}

// purge purges the package. Only its user stays, and what apt and dpkg leave of every package.
func (m *machine) purge() {
	m.sh("systemctl enable --now " + unit)
	m.apt("purge service-monitor")
	m.want("dpkg-query -W service-monitor", "")
	left := m.sh("find / -xdev -iname '*service[-_]monitor*' -not -path '/srv/*' -not -path '/tmp/*'")
	for path := range strings.Lines(left) {
		if strings.TrimSpace(path) != keyring {
			m.t.Errorf("it left %s", path)
		}
	}
	m.want("ls -d /run/systemd/*/*service-monitor* 2>/dev/null", "")
	m.want("journalctl --list-catalog | grep MONITOR", "")
	m.want("getent passwd service-monitor | cut -d: -f1,6,7", "service-monitor:/:/usr/sbin/nologin")
	m.want("find / -xdev -user service-monitor", "")
}

// installAnew installs the package after a purge. All counts begin at zero.
func (m *machine) installAnew() {
	m.apt("install service-monitor")
	m.wantRunning(newer)
	m.sh("systemctl stop " + unit)
	for service, state := range m.state() {
		if state.Starts+state.Stops+state.Crashes+state.Restarts != 0 {
			m.t.Errorf("%s: got %+v, want no counts", service, state)
		}
	}
}
