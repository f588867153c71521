//go:build lifecycle

package lifecycle

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicy wants the packages to start nothing if policy-rc.d(8) forbids it, as while an image is
// made.
func TestPolicy(t *testing.T) {
	m := boot(t, nil)
	if err := m.WriteFile("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755); err != nil {
		t.Fatal(err)
	}
	m.apt("install service-monitor service-monitor-web service-monitor-mqtt")
	m.want("systemctl is-enabled "+unit, "enabled")
	m.want("systemctl is-active "+unit, "inactive")
	m.wantWeb("enabled", "inactive")
	m.wantMQTT("enabled", "inactive")
	m.sh("systemctl start " + unit)
	m.publish()
	m.apt("install service-monitor service-monitor-web service-monitor-mqtt")
	m.wantVersion(older)
	m.wantWeb("enabled", "inactive")
	m.wantMQTT("enabled", "inactive")
	m.sh("rm /usr/sbin/policy-rc.d; systemctl restart " + unit)
	m.wantRunning(newer)
}

// TestNoSystemd wants the packages to install, upgrade and purge if systemd does not run, and the
// monitor and the socket of the page to start at the next boot.
func TestNoSystemd(t *testing.T) {
	m := boot(t, nil)
	// Without /run the scripts behave as in a chroot.
	chroot := func(lines string) {
		t.Helper()
		m.sh("unshare --mount sh -ec 'mount -t tmpfs none /run; export DEBIAN_FRONTEND=noninteractive; " + lines + "'")
	}
	chroot("apt-get install -qy service-monitor service-monitor-web service-monitor-mqtt")
	m.want("systemctl show -P ActiveState "+unit+" "+webSock+" "+mqttUnit, "inactive\n\ninactive\n\ninactive")
	m.publish()
	chroot("apt-get install -qy service-monitor service-monitor-web service-monitor-mqtt")
	m.want("systemctl show -P ActiveState "+unit+" "+webSock+" "+mqttUnit, "inactive\n\ninactive\n\ninactive")
	if err := m.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.wantRunning(newer)
	m.wantWeb("enabled", "active")
	m.wantPage(webSocket)
	m.wantMQTT("enabled", "active")
	chroot("apt-get purge -qy service-monitor service-monitor-web service-monitor-mqtt")
	m.want("find /etc /usr/bin /usr/sbin /usr/lib/systemd /var/lib/service_monitor /var/log/service-monitor -name '*service-monitor*' 2>/dev/null", "")
}

// TestRoot installs into the directory that DPKG_ROOT names. The running system must not change.
func TestRoot(t *testing.T) {
	m := boot(t, nil)
	m.sh("mkdir -p /srv/target/etc /srv/target/var/lib/dpkg/info /srv/target/var/lib/dpkg/updates; touch /srv/target/var/lib/dpkg/status; " +
		"cp /etc/passwd /etc/group /srv/target/etc/")
	const state = "find /etc /usr /var/lib/systemd -xdev -newer /srv/mark ! -type d"
	const dpkg = "dpkg --root=/srv/target --force-script-chrootless --force-depends "
	const wants = "/srv/target/etc/systemd/system/"
	for _, version := range []string{older, newer} {
		debs := "/srv/then/pool/main/s/service-monitor/service-monitor{,-web,-mqtt}_" + version + "_$(dpkg --print-architecture).deb"
		m.sh("touch /srv/mark; " + dpkg + "-i $(bash -c 'echo " + debs + "')")
		m.want(state, "")
		m.want("readlink "+wants+"multi-user.target.wants/service-monitor.service", "/usr/lib/systemd/system/service-monitor.service")
		m.want("readlink "+wants+"sockets.target.wants/service-monitor-web.socket", "/usr/lib/systemd/system/service-monitor-web.socket")
		m.want("readlink "+wants+"multi-user.target.wants/service-monitor-mqtt.service", "/usr/lib/systemd/system/service-monitor-mqtt.service")
		m.want("find "+wants+" -name '*tcp*' -o -name '*textfile*'", "")
		m.want("grep -c ^service-monitor /srv/target/etc/passwd; grep ^service-monitor: /srv/target/etc/group | sed 's/.*://' | tr , '\n' | sort", "3\nservice-monitor-mqtt\nservice-monitor-web")
	}
	m.sh("touch /srv/mark; " + dpkg + "--purge service-monitor-web service-monitor-mqtt service-monitor")
	m.want(state, "")
	m.want("find /srv/target -name '*service-monitor*'; find /srv/target -name 'service_monitor'", "")
}

// python is a state file of the Python monitor.
const python = `{"mosquitto.service": {"last_state": "active", "last_change_time": "2025-07-07 10:15:23", ` +
	`"starts": 5, "stops": 3, "crashes": 1, "logged_unloaded": false}}`

// TestTakeOver installs on a machine with a state file of the Python monitor. The file belongs to
// the user who ran that monitor.
func TestTakeOver(t *testing.T) {
	m := boot(t, nil)
	m.sh("useradd pi; systemctl start mosquitto")
	for _, tt := range []struct{ name, left string }{
		{"of root", "true"},
		{"of root, private", "chmod 700 " + filepath.Dir(stateFile) + "; chmod 600 " + stateFile},
		{"of a user", "chown -R pi:pi " + filepath.Dir(stateFile)},
		{"of root in a directory of a user", "chown pi:pi " + filepath.Dir(stateFile) + "; chmod 600 " + stateFile},
		{"with a log of root", "mkdir -p " + filepath.Dir(logFile) + "; echo old >" + logFile + "; chmod 600 " + logFile},
		{"of root in a directory of the monitor", "useradd --system service-monitor; mkdir -p " + filepath.Dir(logFile) + "; touch " + logFile +
			"; chown service-monitor " + filepath.Dir(stateFile) + " " + filepath.Dir(logFile) + "; chmod 600 " + stateFile + " " + logFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &machine{m.Machine, t}
			if err := m.WriteFile(stateFile, python, 0o644); err != nil {
				t.Fatal(err)
			}
			m.sh(tt.left)
			m.apt("install service-monitor")
			m.wantRunning(older)
			m.crash("mosquitto.service")
			m.sh("systemctl stop " + unit)
			got := m.state()["mosquitto.service"]
			if want := (unitState{LastState: "active", Starts: 6, Stops: 3, Crashes: 2, Restarts: 1}); got != want {
				t.Errorf("(-want +got)\n- %+v\n+ %+v", want, got)
			}
			m.apt("purge service-monitor")
			m.sh("userdel service-monitor; ! test -e " + stateFile)
		})
	}
}

// TestPythonUnit installs while the Python monitor runs from a unit of the same name. The package
// says how to replace it. It does no harm that the Python monitor goes on writing.
func TestPythonUnit(t *testing.T) {
	m := boot(t, map[string]string{
		stateFile: python,
		config:    `{"monitored_services": ["mosquitto.service"], "poll_interval": 500}`,
		"/etc/systemd/system/service-monitor.service": "[Service]\nExecStart=sh -c 'umask 077; cd /var/lib/service_monitor; " +
			"while cp service_states.json new && mv new service_states.json; do sleep 0.1; done'\n[Install]\nWantedBy=multi-user.target\n",
	})
	m.sh("systemctl enable --now service-monitor; systemctl start mosquitto")
	// Nobody is there to answer a question about a configuration file that dpkg does not know.
	if out, err := m.Run(t.Context(), "sh", "-c", "apt-get -qy install service-monitor </dev/null 2>&1"); err == nil {
		t.Errorf("dpkg replaced or kept the configuration without a word:\n%s", out)
	}
	out := m.apt("-o Dpkg::Options::=--force-confold install service-monitor")
	_, remedy, ok := strings.Cut(out, "to use the unit of the package, run: ")
	if !ok {
		t.Fatalf("nothing is said of the unit that hides the package's:\n%s", out)
	}
	remedy, _, _ = strings.Cut(remedy, "\n")
	m.sh(remedy)
	m.want("systemctl is-enabled "+unit, "enabled")
	m.want("systemctl is-active "+unit, "active")
	m.wantVersion(older)
	m.want("systemctl show -P StatusText "+unit+" | cut -d, -f1", "watching 1 services")
	m.sh("systemctl stop " + unit)
	if got := m.state()["mosquitto.service"]; got.Starts != 5 || got.Stops != 3 || got.Crashes != 1 {
		t.Errorf("the counts of the Python monitor became %+v", got)
	}
}

// TestBadConfig wants apt to say that the monitor does not run, and where to look.
func TestBadConfig(t *testing.T) {
	m := boot(t, nil)
	m.apt("install service-monitor")
	m.sh("echo '{' >" + config)
	if out := m.apt("install --reinstall service-monitor"); !strings.Contains(out, "service-monitor: it does not run; see: systemctl status service-monitor.service") {
		t.Errorf("apt-get said:\n%s", out)
	}
}

// TestBusPolicy wants the bus to keep other clients away from the monitor when the package is
// installed, although the bus did not know the monitor's user when it read the policy.
// Messages that reach the monitor all the same are refused and reported.
func TestBusPolicy(t *testing.T) {
	m := boot(t, nil)
	m.apt("install service-monitor")
	const send = "dbus-send --system --type=signal --dest=$(busctl --no-legend --unique list | sed -n 's/ .* service-monitor .*//p') " +
		"/org/freedesktop/systemd1/unit/mosquitto_2eservice org.freedesktop.DBus.Properties.PropertiesChanged string:x"
	const refusals = "journalctl -q -o cat -u " + unit + " | grep -c '^refused signals'"
	m.sh(send + "; systemctl start mosquitto") // the signals of PID 1 come after it
	m.crash("mosquitto.service")
	m.sh("systemctl stop " + unit)
	m.want(refusals, "0")
	// Without the policy the message reaches the monitor.
	m.sh("rm /usr/share/dbus-1/system.d/service-monitor.conf; systemctl reload dbus; systemctl start " + unit + "; " + send)
	m.crash("mosquitto.service")
	m.sh("systemctl stop " + unit)
	m.want(refusals, "1")
}
