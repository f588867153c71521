//go:build lifecycle

package lifecycle

import (
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"service-monitor/test/gateway"
)

// mostExposed is the highest exposure, of 10, that systemd-analyze(1) may report of a unit. The
// writer for node_exporter may write where it is not the owner.
var mostExposed = map[string]float64{webUnit: 0.2, webFile: 0.6}

// knowsLater is the first systemd that knows the later settings. 247 ignores them.
const knowsLater = 248

var laterSettings = regexp.MustCompile(`(?m)^.*Unknown key name '(PrivateIPC|NoExecPaths|ExecPaths)' in section 'Service', ignoring\.$`)

// sandboxWeb wants the units to be closed.
func (m *machine) sandboxWeb() {
	later := m.wantVerified("service-monitor-web*")
	for unit, most := range mostExposed {
		m.wantExposed(unit, most)
	}
	m.wantPage(webSocket)
	m.wantConfined(webUnit, []string{"mnt", "net", "user", "uts"}, later)
}

// wantVerified wants systemd to find no fault in units. It returns whether this systemd knows the later
// settings.
func (m *machine) wantVerified(units string) (later bool) {
	m.t.Helper()
	version, err := m.Version(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	said := m.sh("SYSTEMD_LOG_COLOR=0 systemd-analyze verify --man=no /usr/lib/systemd/system/" + units + " 2>&1")
	if version < knowsLater {
		said = laterSettings.ReplaceAllString(said, "")
	}
	if said = strings.TrimSpace(said); said != "" {
		m.t.Errorf("systemd-analyze verify says: %s", said)
	}
	return version >= knowsLater
}

// emulated reports whether the machine is emulated. Most of a sandbox is not.
func (m *machine) emulated() bool {
	m.t.Helper()
	architecture, err := gateway.Architecture(*system)
	if err != nil {
		m.t.Fatal(err)
	}
	return architecture != runtime.GOARCH
}

// wantExposed wants the exposure of a unit, of 10, to be this at most.
func (m *machine) wantExposed(unit string, most float64) {
	m.t.Helper()
	if m.emulated() {
		return
	}
	said := m.sh("systemd-analyze security --no-pager " + unit)
	overall := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+) `).FindStringSubmatch(said)
	if overall == nil {
		m.t.Fatalf("no overall exposure level in\n%s", said)
	}
	if exposed, err := strconv.ParseFloat(overall[1], 64); err != nil || exposed > most {
		m.t.Errorf("the exposure of %s is %s, want at most %v (%v):\n%s", unit, overall[1], most, err, said)
	}
}

// wantConfined wants a running program to be without rights, and to have these namespaces for itself. It asks the
// kernel, because systemd may leave out what it cannot set up. The later settings also keep the program from
// running anything but itself.
func (m *machine) wantConfined(unit string, namespaces []string, later bool) {
	m.t.Helper()
	if m.emulated() {
		return
	}
	pid := m.sh("systemctl show -P MainPID " + unit)
	status := m.sh("cat /proc/" + pid + "/status")
	for _, line := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
	} {
		if !strings.Contains(status, "\n"+line+"\n") {
			m.t.Errorf("the kernel does not say %q:\n%s", line, status)
		}
	}
	for _, ns := range namespaces {
		m.sh("[ $(readlink /proc/" + pid + "/ns/" + ns + ") != $(readlink /proc/1/ns/" + ns + ") ]")
	}
	// What the mounts of its namespace keep from root is kept from it, too. A shell could not run there.
	root := "/proc/" + pid + "/root"
	for _, path := range []string{
		"/x", "/etc/service-monitor/config.json", "/etc/x", "/home/x", "/root/x", "/run/x", "/run/service-monitor/x", "/tmp/x", "/var/tmp/x",
		"/dev/x", "/dev/shm/x", "/usr/bin/x", stateFile, "/var/lib/service_monitor/x", logFile, "/var/log/x",
	} {
		m.want("sh -c 'exec 2>/dev/null; echo x >>"+root+path+"' && echo it writes "+path, "")
	}
	if later {
		m.want("nsenter -t "+pid+" -m /usr/bin/true 2>/dev/null && echo it runs", "")
	}
}
