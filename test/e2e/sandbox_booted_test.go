//go:build booted

package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// mostExposed is the highest exposure of the unit, of 10, that systemd-analyze(1) may report. What
// remains is that it shares the machine's root directory and may use unix sockets.
const mostExposed = 0.2

// TestSandbox wants the shipped unit to be closed. It asks systemd and the kernel, because systemd may
// leave out what it cannot set up.
func TestSandbox(t *testing.T) {
	b := bootBed(t, nil, []string{"up.service"})
	version, err := b.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor")

	said := b.sh("systemd-analyze security --no-pager service-monitor.service")
	overall := regexp.MustCompile(`Overall exposure level for service-monitor\.service: ([0-9.]+) `).FindStringSubmatch(said)
	if overall == nil {
		t.Fatalf("no overall exposure level in\n%s", said)
	}
	if exposed, err := strconv.ParseFloat(overall[1], 64); err != nil || exposed > mostExposed {
		t.Errorf("the exposure is %s, want at most %v (%v):\n%s", overall[1], mostExposed, err, said)
	}
	b.wantVerified(version < knowsLater)

	pid := b.show("MainPID")
	status := b.sh("cat /proc/" + pid + "/status")
	for _, line := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
	} {
		if !strings.Contains(status, "\n"+line+"\n") {
			t.Errorf("the kernel does not say %q:\n%s", line, status)
		}
	}
	namespaces := []string{"mnt", "net", "user", "uts"}
	if version >= knowsLater {
		namespaces = append(namespaces, "ipc")
	}
	for _, ns := range namespaces {
		b.sh("[ $(readlink /proc/" + pid + "/ns/" + ns + ") != $(readlink /proc/1/ns/" + ns + ") ]")
	}
	within := func(lines string) {
		t.Helper()
		b.sh("nsenter -t " + pid + " -m setpriv --reuid=service-monitor --regid=service-monitor --init-groups --bounding-set=-all sh -ec '" + lines + "'")
	}
	within("cp /bin/true /tmp/x; cp /bin/true /dev/shm/x; cp /bin/true " + stateFile + ".x; cp /bin/true " + logPath + ".x; /bin/true")
	closed := []string{
		"touch /run/x", "touch /etc/service-monitor/x", "touch /var/lib/x", "touch /home/x", "ls /root",
		"cat /proc/1/status", "cat /proc/uptime", "cat /proc/sys/kernel/hostname",
	}
	if version >= knowsLater {
		closed = append(closed, "/tmp/x", "/dev/shm/x", stateFile+".x", logPath+".x")
	}
	for _, it := range closed {
		within("! { " + it + "; } 2>/dev/null")
	}
}

// knowsLater is the first systemd that knows the later settings. 247 ignores them.
const knowsLater = 248

var later = regexp.MustCompile(`(?m)^.*Unknown key name '(PrivateIPC|NoExecPaths)' in section 'Service', ignoring\.$`)

// wantVerified wants systemd to find no fault in the unit. Only an old systemd may say that it does not
// know the later settings.
func (b *bed) wantVerified(old bool) {
	b.t.Helper()
	said := b.sh("SYSTEMD_LOG_COLOR=0 systemd-analyze verify --man=no /etc/systemd/system/service-monitor.service 2>&1")
	if old {
		said = later.ReplaceAllString(said, "")
	}
	if said = strings.TrimSpace(said); said != "" {
		b.t.Errorf("systemd-analyze verify says: %s", said)
	}
}
