//go:build booted

package packaging

import (
	"regexp"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// TestCatalogExplains reads with journalctl -x the entry of the daemon about a crash, and runs the
// commands that the explanation proposes.
func TestCatalogExplains(t *testing.T) {
	const unit = `it\x2dcrashes@1.service` // a shell would remove the backslash
	// journald finds out from which run a line is by looking at the process. If it is busy, a process that
	// writes its last words may be gone by then. So this one waits until journald has read them.
	const crashes = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo these are my last words; journalctl --sync; exit 9'\n"
	m := gatewaytest.Boot(t, gateway.Options{
		Units: map[string]string{
			"service-monitor.service":  read(t, "../../systemd/service-monitor.service"),
			`it\x2dcrashes@.service`:   crashes,
			"not-of-interest@.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo nothing; exit 9'\n",
		},
		Files: map[string]string{
			"/etc/systemd/system/service-monitor.service.d/test.conf": "[Service]\nExecStart=\nExecStart=/opt/service-monitor\n",
			"/etc/service-monitor/config.json":                        `{"monitored_services": ["it?x2dcrashes@*.service", "not-of-interest@*.service", "missing.service"]}`,
			"/opt/catalog/service-monitor.catalog":                    read(t, catalogFile),
		},
		Binds: map[string]string{"/opt/service-monitor": monitor.binary},
		Users: []string{"service-monitor"},
	})
	sh := func(script string) string {
		t.Helper()
		out, err := m.Run(t.Context(), "sh", "-ec", "exec 2>&1\n"+script)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	// In the machine /usr is read-only, and the catalog belongs beside those of systemd.
	if said := sh(`cp /usr/lib/systemd/catalog/* /opt/catalog
mount --bind /opt/catalog /usr/lib/systemd/catalog
journalctl --update-catalog`); said != "" {
		t.Errorf("journalctl --update-catalog: %s", said)
	}
	listed := sh("journalctl --list-catalog")
	for id, text := range explanations(t) {
		subject, _, _ := strings.Cut(strings.TrimPrefix(text, "Subject: "), "\n")
		if !strings.Contains(listed, id+" service-monitor: "+subject+"\n") {
			t.Errorf("%s is not in the catalog", id)
		}
	}

	sh(`systemctl start service-monitor
systemctl start not-of-interest@1 || true
systemctl start 'it\x2dcrashes@1' || true
systemctl stop service-monitor
journalctl --sync`)
	explained := regexp.MustCompile(`(?m)^(░░|--) ?`).ReplaceAllString(sh(
		`journalctl -q -x MESSAGE_ID=a9c7ce28cc9d4a2baf64dd96586ff35a MONITOR_UNIT='`+unit+`'`), "")
	invocation := strings.TrimSpace(sh("systemctl show -P InvocationID '" + unit + "'"))
	for _, want := range []string{
		"Subject: " + unit + " has crashed: exit-code\n", "(exit code: 9, signal: none)",
		"journalctl _SYSTEMD_INVOCATION_ID=" + invocation + " + INVOCATION_ID=" + invocation + "\n",
	} {
		if !strings.Contains(explained, want) {
			t.Errorf("no %q in the explanation:\n%s", want, explained)
		}
	}
	said := sh(strings.Join(find(explained, `(?m)^    (journalctl .+)`), "\n"))
	for _, want := range []string{"these are my last words", unit + ": Main process exited, code=exited, status=9", unit + ": **CRASH**"} {
		if !strings.Contains(said, want) {
			t.Errorf("the commands that are proposed do not find %q:\n%s\n%s", want, explained, said)
		}
	}
	if strings.Contains(said, "not-of-interest") {
		t.Errorf("they find other units, too:\n%s", said)
	}

	// All entries of the daemon are explained, and all fields are filled in.
	everything := sh("journalctl -q -x -u service-monitor _COMM=service-monitor")
	if left := regexp.MustCompile(`@[A-Z_]+@`).FindString(everything); left != "" || strings.Count(everything, "Subject: ") < 8 {
		t.Errorf("%s is left of it:\n%s", left, everything)
	}

	// The commands in the manual must work with all versions of systemd.
	for _, line := range find(strings.ReplaceAll(plain(section(t, read(t, monitor.manual), ".SH EXAMPLES", ".SH STATE FILE")), "\\e\n", ""), `(?m)^(journalctl .+)`) {
		line = strings.ReplaceAll(strings.ReplaceAll(line, `\fIID\fP`, invocation), "mosquitto.service", "'"+unit+"'")
		if said := sh(line); !strings.Contains(said, unit) {
			t.Errorf("%s finds nothing of %s:\n%s", line, unit, said)
		}
	}
}
