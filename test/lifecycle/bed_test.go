//go:build lifecycle

package lifecycle

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

const (
	unit      = "service-monitor.service"
	stateFile = "/var/lib/service_monitor/service_states.json"
	logFile   = "/var/log/service-monitor/service-monitor.log"
	config    = "/etc/service-monitor/config.json"
	keyring   = "/usr/share/keyrings/service-monitor-archive-keyring.gpg"
)

// limit is how long a test waits for something. Nothing takes that long, even on emulated machines.
const limit = 10 * time.Minute

// These are the services of a gateway: ten of the twelve that are monitored by default. Missing
// are wps_button_monitor.service and Node-Configuration.service.
const (
	stays = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
	again = stays + "Restart=always\nRestartSec=50ms\n"
)

var services = map[string]string{
	"wirepas-gateway.service":    stays,
	"wirepas-sink-ttys1.service": again,
	"wirepas-sink-ttys2.service": "[Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=1h\n[Service]\nExecStart=/bin/sh -c 'exit 19'\nRestart=on-failure\nRestartSec=50ms\n",
	"edger.connecteddev.service": stays,
	"edger.endries.service":      again,
	"devmgmt.service":            stays,
	"hwcheck.service":            "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 1'\n",
	"provisioning.service":       "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
	"setup_cell_connect.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
	"mosquitto.service":          again,
}

// machine is a booted Debian that can install the package.
type machine struct {
	*gateway.Machine
	t *testing.T
}

// boot boots a machine with a repository, and fetches the index of the repository.
func boot(t *testing.T, files map[string]string) *machine {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(repositories.first, filepath.Base(keyring)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		keyring: string(key),
		// The machine has all that the package depends on, so apt needs no other sources.
		"/etc/apt/sources.list": source("/srv/first"),
		// An emulated program on a busy machine may need longer than the 15 seconds after which
		// systemd stops waiting for the monitor.
		"/etc/systemd/system/service.d/patient.conf": "[Unit]\nJobRunningTimeoutSec=infinity\n",
	}
	for path, text := range files {
		all[path] = text
	}
	m := &machine{gatewaytest.Boot(t, gateway.Options{
		System: *system, Copy: true, Units: services, Files: all,
		Binds: map[string]string{"/srv/alone": repositories.alone, "/srv/first": repositories.first, "/srv/then": repositories.then},
	}), t}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := m.Run(context.WithoutCancel(t.Context()), "journalctl", "--no-pager", "-q", "-o", "short-precise", "-n", "100")
			t.Logf("the end of the journal:\n%s", out)
		}
	})
	m.sh("apt-get update")
	return m
}

func source(repository string) string {
	return "deb [signed-by=" + keyring + "] file:" + repository + " stable main\n"
}

// sh runs lines of sh(1). All of them must succeed.
func (m *machine) sh(lines string) string {
	m.t.Helper()
	out, err := m.Run(m.t.Context(), "sh", "-ec", lines)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

// want runs a command, which may fail, and compares its output.
func (m *machine) want(command, want string) {
	m.t.Helper()
	out, _ := m.Run(m.t.Context(), "sh", "-c", command)
	if got := strings.TrimSpace(out); got != want {
		m.t.Errorf("%s: got %q, want %q", command, got, want)
	}
}

// apt runs apt-get(8) as a script does, without anybody to answer questions.
func (m *machine) apt(arguments string) string {
	m.t.Helper()
	return m.sh("DEBIAN_FRONTEND=noninteractive apt-get -qy " + arguments + " </dev/null 2>&1")
}

// wantRunning wants this version to be running, ready and enabled.
func (m *machine) wantRunning(version string) {
	m.t.Helper()
	m.want("dpkg-query -W -f '${Status} ${Version}' service-monitor", "install ok installed "+version)
	m.want("systemctl is-enabled "+unit, "enabled")
	m.want("systemctl is-active "+unit, "active")
	m.wantVersion(version)
	m.want("systemctl show -P StatusText "+unit+" | cut -d, -f1", "watching 12 services")
}

// wantVersion wants the running monitor to be of this version.
func (m *machine) wantVersion(version string) {
	m.t.Helper()
	m.want("journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID "+unit+") | sed -n 's/^starting .*version: \\(.*\\))$/\\1/p'", version)
}

// await waits until the journal has the wanted counts of a service.
func (m *machine) await(service string, done func(gateway.Tally) bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), limit)
	defer cancel()
	if err := m.Await(ctx, service, done); err != nil {
		m.t.Fatal(err)
	}
}

// crash kills a service, and waits until it is restarted.
func (m *machine) crash(service string) {
	m.t.Helper()
	var before gateway.Tally
	m.await(service, func(now gateway.Tally) bool { before = now; return now.Running })
	m.sh("systemctl kill -s KILL " + service)
	m.await(service, func(now gateway.Tally) bool { return now.Crashes > before.Crashes && now.Starts > before.Starts })
	m.sh("until systemctl is-active --quiet " + service + "; do :; done")
}

// trouble lets the services crash, stop and start.
func (m *machine) trouble() {
	m.t.Helper()
	m.sh("systemctl start wirepas-gateway wirepas-sink-ttys1 edger.connecteddev edger.endries devmgmt provisioning setup_cell_connect mosquitto; " +
		"systemctl reset-failed wirepas-sink-ttys2 || true; systemctl start --no-block wirepas-sink-ttys2; ! systemctl start hwcheck")
	m.crash("mosquitto.service")
	m.crash("mosquitto.service")
	m.crash("edger.endries.service")
	m.sh("systemctl stop devmgmt provisioning; systemctl restart edger.connecteddev")
}

// unitState is a service in the state file.
type unitState struct {
	LastState string `json:"last_state"`
	Starts    int    `json:"starts"`
	Stops     int    `json:"stops"`
	Crashes   int    `json:"crashes"`
	Restarts  int    `json:"restarts"`
	AtLeast   bool   `json:"at_least"`
}

func (m *machine) state() map[string]unitState {
	m.t.Helper()
	text, err := m.ReadFile(stateFile)
	if err != nil {
		m.t.Fatal(err)
	}
	var state map[string]unitState
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		m.t.Fatalf("%v\n%s", err, text)
	}
	return state
}

// wantTruth wants the state file of a monitor that has stopped to have the counts of the journal
// for all services.
func (m *machine) wantTruth() {
	m.t.Helper()
	truth, err := m.Truth(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	state := m.state()
	if len(state) != 12 {
		m.t.Errorf("the state file has %d services, want 12", len(state))
	}
	for service, got := range state {
		t := truth[service]
		want := unitState{LastState: got.LastState, Starts: t.Starts, Stops: t.Stops, Crashes: t.Crashes, Restarts: t.Scheduled}
		if got != want {
			m.t.Errorf("%s (-journal +counted)\n- %+v\n+ %+v", service, want, got)
		}
	}
}
