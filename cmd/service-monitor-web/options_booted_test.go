//go:build booted

package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// TestWrongOption has the unit that ships start with a wrong option, while a client waits. The client must not
// start the service again at once, and again and again: systemd schedules each further start.
func TestWrongOption(t *testing.T) {
	const path = "/opt/service-monitor-web"
	units := map[string]string{}
	for _, name := range []string{"service-monitor-web.service", "service-monitor-web.socket", "service-monitor-web-stopped.target"} {
		text, err := os.ReadFile("../../systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		units[name] = strings.NewReplacer("/usr/bin/service-monitor-web", path, "WEB_OPTIONS=", "WEB_OPTIONS=--no-such-option").Replace(string(text))
	}
	m := gatewaytest.Boot(t, gateway.Options{
		Units: units, Binds: map[string]string{path: gatewaytest.Build(t, "service-monitor-web")}, Users: []string{"service-monitor", "service-monitor-web"},
	})
	sh := func(line string) string {
		t.Helper()
		out, err := m.Run(t.Context(), "sh", "-c", line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return strings.TrimSpace(out)
	}
	sh("systemctl start service-monitor-web.socket")
	client, err := net.Dial("unix", fmt.Sprintf("/proc/%d/root/run/service-monitor-web.sock", m.Leader()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var is gateway.Tally
	for is.Starts < 2 {
		truth, err := m.Truth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		is = truth["service-monitor-web.service"]
	}
	if is.Scheduled < is.Starts-1 || is.Last.Status != 64 {
		t.Errorf("after status %d there were %d starts, %d of them scheduled", is.Last.Status, is.Starts, is.Scheduled)
	}
	if socket := sh("systemctl show -P Result service-monitor-web.socket"); socket != "success" {
		t.Errorf("the socket failed: %s", socket)
	}
}
