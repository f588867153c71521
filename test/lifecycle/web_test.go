//go:build lifecycle

package lifecycle

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// These are the units of the package service-monitor-web.
const (
	webUnit  = "service-monitor-web.service"
	webSock  = "service-monitor-web.socket"
	webTCP   = "service-monitor-web-tcp.socket"
	webFile  = "service-monitor-web-textfile.service"
	webTimer = "service-monitor-web-textfile.timer"
)

// TestWebLife takes one machine through the life of the package service-monitor-web, beside that
// of the monitor.
func TestWebLife(t *testing.T) {
	m := boot(t, nil)
	for _, step := range []struct {
		name string
		run  func(*machine)
	}{
		{"install", (*machine).installWeb},
		{"ask", (*machine).askWeb},
		{"restart", (*machine).restartWeb},
		{"sandbox", (*machine).sandboxWeb},
		{"next try", (*machine).nextTryWeb},
		{"stopped monitor", (*machine).stoppedMonitorWeb},
		{"idle", (*machine).idleWeb},
		{"textfile", (*machine).textfileWeb},
		{"upgrade", (*machine).upgradeWeb},
		{"disable", (*machine).disableWeb},
		{"reboot", (*machine).rebootWeb},
		{"remove", (*machine).removeWeb},
		{"purge", (*machine).purgeWeb},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&machine{m.Machine, t}) }) {
			return // each step needs the one before it
		}
	}
}

// installWeb installs the package where the monitor is older, and the repository has only the monitor.
// With the package, apt upgrades the monitor.
func (m *machine) installWeb() {
	m.use("/srv/alone")
	m.apt("install service-monitor")
	m.wantRunning(older)
	m.trouble()
	m.want("apt-get -qy install service-monitor-web >/dev/null 2>&1 || echo there is none", "there is none")

	m.publish()
	m.apt("install service-monitor-web")
	m.wantRunning(newer)
	m.stopped(m.wantTruth)
	m.want("dpkg-query -W -f '${Status} ${Version}' service-monitor-web", "install ok installed "+newer)
	m.want("dpkg --verify service-monitor-web", "")
	m.want("id -nG service-monitor-web; getent passwd service-monitor-web | cut -d: -f6,7", "service-monitor-web service-monitor\n/:/usr/sbin/nologin")
	m.wantWeb("enabled", "active")
	m.want("systemctl is-enabled "+webTCP+" "+webTimer, "disabled\ndisabled")
	m.want("systemctl is-active "+webTCP+" "+webTimer+" "+webUnit, "inactive\ninactive\ninactive")
}

// wantWeb wants this of the socket that is enabled by default.
func (m *machine) wantWeb(enabled, active string) {
	m.t.Helper()
	m.want("systemctl is-enabled "+webSock, enabled)
	m.want("systemctl is-active "+webSock, active)
}

// askWeb asks over both sockets. systemd starts no socket of a service that runs, but the second socket is
// started, and both are restarted, while the service runs.
func (m *machine) askWeb() {
	m.wantPage(webSocket)
	m.want("stat -c %U /proc/$(systemctl show -P MainPID "+webUnit+")", "service-monitor-web")
	m.want("stat -c '%a %U:%G' "+webSocket, "660 root:service-monitor")
	m.wantNobody(webPort)
	for _, change := range []string{"enable --now " + webTCP, "restart " + webSock, "restart " + webTCP, "restart " + webUnit} {
		m.want("systemctl is-active "+webUnit, "active")
		m.sh("systemctl " + change)
		m.wantPage(webPort)
		m.wantPage(webSocket)
	}
	m.want("systemctl is-active "+webSock+" "+webTCP+" "+webUnit, "active\nactive\nactive")
	// systemd would refuse the sixth start in ten seconds (StartLimitBurst=), if the units did not allow it.
	m.sh(fmt.Sprintf("for i in 1 2 3 4 5 6 7 8; do systemctl restart %s %s %s; done; systemctl stop %[3]s", webSock, webTCP, webTimer))
	m.wantPage(webPort)
	m.wantPage(webSocket)
}

// restartWeb restarts the port while the socket of before is not yet closed everywhere. systemd itself may be
// that late on a busy machine.
func (m *machine) restartWeb() {
	before := m.hold(webPort)
	defer before.Close()
	m.sh("systemctl restart " + webTCP)
	if err := before.Close(); err != nil {
		m.t.Error(err)
	}
	m.wantPage(webPort)
}

// nextTryWeb wants the page to know what only systemd knows. It asks over the system bus, from the sandbox.
func (m *machine) nextTryWeb() {
	m.dropIn("mosquitto.service", "[Service]\nRestartSec=1h\n")
	m.sh("systemctl restart mosquitto; systemctl kill -s KILL mosquitto")
	for {
		if strings.Contains(m.get(webSocket, "/api/why?unit=mosquitto.service"), `"next_try_seconds":35`) {
			break
		}
		if m.t.Context().Err() != nil {
			m.t.Fatal("the page does not know the next try")
		}
	}
	m.dropIn("mosquitto.service", "")
	m.sh("systemctl start mosquitto")
}

// dropIn replaces the drop-in of a unit. An empty text removes it.
func (m *machine) dropIn(unit, text string) {
	m.t.Helper()
	path := "/run/systemd/system/" + unit + ".d/test.conf"
	if text == "" {
		m.sh("rm " + path)
	} else if err := m.WriteFile(path, text, 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.sh("systemctl daemon-reload")
}

// routes are what one may ask for.
var routes = []string{
	"/", "/metrics", "/-/healthy", "/api/status", "/api/why?unit=mosquitto.service",
	"/api/history?unit=mosquitto.service&n=50", "/api/timeline?hours=24",
}

// stoppedMonitorWeb wants the page to show what a stopped monitor has saved, and neither to start the monitor
// nor to change a file, whatever is asked.
func (m *machine) stoppedMonitorWeb() {
	m.sh("systemctl stop " + unit)
	before := m.sh("systemctl show -P InvocationID " + unit)
	m.sh("touch /srv/mark")
	for _, path := range routes {
		m.get(webPort, path)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "FROBNICATE"} {
			got, err := m.request(webPort, method, path)
			if err != nil || got.code != http.StatusMethodNotAllowed {
				m.t.Errorf("%s %s: %d, %v; want %d", method, path, got.code, err, http.StatusMethodNotAllowed)
			}
		}
	}
	m.wantPage(webSocket)
	m.want("systemctl is-active "+unit, "inactive")
	m.want("systemctl show -P InvocationID "+unit, before)
	m.want("find / -xdev -newer /srv/mark ! -type d ! -path '/proc/*' ! -path '/sys/*' ! -path '/var/log/journal/*'", "")
	m.sh("systemctl start " + unit)
	m.wantPage(webSocket)
}

// idleWeb wants the program to end when nobody asks, and to start again when somebody does.
func (m *machine) idleWeb() {
	m.dropIn(webUnit, "[Service]\nEnvironment=\"WEB_OPTIONS=--idle-exit 100ms\"\n")
	m.sh("systemctl stop " + webUnit)
	for range 3 {
		before := m.life(webUnit)
		m.wantPage(webPort)
		m.await(webUnit, func(now gateway.Tally) bool { return now.Stops > before.Stops && !now.Running })
	}
	m.want("systemctl is-active "+webSock+" "+webTCP, "active\nactive")
	m.want("systemctl show -P Result "+webUnit, "success")
	m.dropIn(webUnit, "")
}

// life returns the present counts of the journal for a unit.
func (m *machine) life(unit string) gateway.Tally {
	m.t.Helper()
	truth, err := m.Truth(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return truth[unit]
}

const (
	promDir  = "/var/lib/prometheus/node-exporter"
	promFile = promDir + "/service-monitor.prom"
)

// textfileWeb wants the metrics where node_exporter looks for them, whoever owns that directory, and even
// while the monitor does not run. Without node_exporter nothing is done.
func (m *machine) textfileWeb() {
	m.sh("systemctl start " + webFile)
	m.want("ls /var/lib/prometheus 2>/dev/null; systemctl show -P ConditionResult "+webFile, "no")
	m.sh("useradd --system prometheus; mkdir -p " + promDir + "; chown prometheus: /var/lib/prometheus")
	for _, owner := range []string{"root", "prometheus"} {
		m.sh("chown " + owner + ": " + promDir + "; systemctl start " + webFile)
		m.want("ls -A "+promDir+"; stat -c '%a %U' "+promFile, "service-monitor.prom\n644 service-monitor-web")
		m.want("setpriv --reuid prometheus --clear-groups grep -c '^service_monitor_unit_crashes_total{' "+promFile, "12")
		m.sh("rm " + promFile)
	}
	m.sh("systemctl stop " + unit + "; systemctl start " + webFile + "; systemctl start " + unit)
	m.want("grep -c '^service_monitor_unit_crashes_total{' "+promFile, "12")
	// What it writes cannot be put elsewhere.
	m.sh("rm " + promFile + "; ln -s /etc/planted " + promFile + "; ! systemctl start " + webFile + " 2>/dev/null; ! test -e /etc/planted; rm " + promFile)

	before := m.life(webFile)
	m.dropIn(webTimer, "[Timer]\nOnActiveSec=0\n")
	m.sh("systemctl enable --now " + webTimer)
	m.await(webFile, func(now gateway.Tally) bool { return now.Starts > before.Starts })
	m.dropIn(webTimer, "")
	m.want("systemctl is-active "+webTimer, "active")
}

// upgradeWeb goes back to the older version and forward again, while somebody looks at the page. Sockets
// stay as they were.
func (m *machine) upgradeWeb() {
	for _, version := range []string{older, newer} {
		m.wantPage(webPort)
		before := m.sh("systemctl show -P InvocationID " + webUnit)
		m.apt("install --allow-downgrades service-monitor=" + version + " service-monitor-web=" + version)
		m.wantRunning(version)
		m.wantWeb("enabled", "active")
		m.want("systemctl is-enabled "+webTCP+" "+webTimer, "enabled\nenabled")
		m.want("systemctl is-active "+webTCP+" "+webTimer, "active\nactive")
		m.wantPage(webSocket)
		m.wantPage(webPort)
		if m.sh("systemctl show -P InvocationID "+webUnit) == before {
			m.t.Errorf("the old program goes on")
		}
		m.want("setpriv --reuid nobody --clear-groups service-monitor-web --version", "service-monitor-web "+version)
	}
	// The monitor alone cannot be upgraded or removed: they belong together.
	m.apt("install --allow-downgrades service-monitor=" + older + " service-monitor-web=" + older)
	m.apt("install service-monitor")
	m.want("dpkg-query -W -f '${Status} ${Version}' service-monitor-web", "install ok installed "+newer)
	m.wantPage(webSocket)
}

// disableWeb disables the sockets. They stay disabled after upgrades.
func (m *machine) disableWeb() {
	m.sh(fmt.Sprintf("systemctl disable --now %s %s %s; systemctl stop %s", webSock, webTCP, webTimer, webUnit))
	m.wantNobody(webSocket)
	m.wantNobody(webPort)
	m.apt("install --reinstall service-monitor-web")
	m.want("systemctl is-enabled "+webSock+" "+webTCP+" "+webTimer, "disabled\ndisabled\ndisabled")
	m.want("systemctl is-active "+webSock+" "+webTCP+" "+webTimer, "inactive\ninactive\ninactive")
	m.sh("systemctl start " + webTCP)
	m.wantPage(webPort)
	m.apt("install --reinstall service-monitor-web")
	m.want("systemctl is-enabled "+webSock+" "+webTCP, "disabled\ndisabled")
	m.want("systemctl is-active "+webSock+" "+webTCP, "inactive\nactive")
	m.wantPage(webPort)
	m.sh("systemctl mask --now " + webSock)
	m.apt("install --reinstall service-monitor-web")
	m.wantWeb("masked", "inactive")
	m.sh(fmt.Sprintf("systemctl unmask %s; systemctl enable --now %s %s", webSock, webSock, webTCP))
}

// rebootWeb wants both sockets to be there after a boot.
func (m *machine) rebootWeb() {
	if err := m.PowerOff(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.PowerOn(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.want("systemctl is-active "+webSock+" "+webTCP+" "+webUnit, "active\nactive\ninactive")
	m.wantPage(webPort)
	m.wantPage(webSocket)
}

// removeWeb removes the package, and installs it again. The monitor goes on.
func (m *machine) removeWeb() {
	monitor := m.sh("systemctl show -P InvocationID " + unit)
	m.sh("systemctl start " + webFile)
	m.wantPage(webPort)
	m.apt("remove service-monitor-web")
	m.wantNobody(webSocket)
	m.wantNobody(webPort)
	m.want("ls "+webSocket+" "+promFile+" /usr/bin/service-monitor-web 2>/dev/null", "")
	m.want("systemctl list-units --plain --no-legend 'service-monitor-web*'", "")
	m.apt("install service-monitor-web")
	m.wantWeb("enabled", "active")
	m.wantPage(webSocket)
	m.wantPage(webPort) // it was enabled
	m.want("systemctl show -P InvocationID "+unit, monitor)
	m.sh("systemctl disable --now " + webTCP)
	m.apt("remove service-monitor-web")
	m.apt("install service-monitor-web")
	m.want("systemctl is-enabled "+webTCP, "disabled")
	m.wantNobody(webPort)
}

// purgeWeb purges the monitor, and with it the package. Only its user stays.
func (m *machine) purgeWeb() {
	m.sh("systemctl enable --now " + webTCP + " " + webTimer)
	m.wantPage(webPort)
	m.apt("purge service-monitor-web")
	m.wantRunning(newer)
	m.wantNothingLeft("*service-monitor-web*")
	m.apt("install service-monitor-web")
	m.wantWeb("enabled", "active")
	m.want("systemctl is-enabled "+webTCP+" "+webTimer, "disabled\ndisabled")
	m.wantPage(webSocket)
	m.apt("purge service-monitor service-monitor-web")
	m.wantNothingLeft("*service[-_]monitor*")
	m.want("getent passwd service-monitor-web | cut -d: -f1,6,7", "service-monitor-web:/:/usr/sbin/nologin")
	m.want("find / -xdev -user service-monitor-web", "")
}

// wantNothingLeft wants no files of such names, except what apt and dpkg leave of every package.
func (m *machine) wantNothingLeft(name string) {
	m.t.Helper()
	left := m.sh("find / /run -xdev -iname '" + name + "' -not -path '/srv/*' -not -path '/tmp/*' -not -path '/run/systemd/propagate/*'")
	for path := range strings.Lines(left) {
		if strings.TrimSpace(path) != keyring {
			m.t.Errorf("it left %s", path)
		}
	}
}
