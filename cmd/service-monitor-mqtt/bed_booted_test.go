//go:build booted

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

const (
	top      = "../../"
	patience = 5 * time.Minute
	// socket is where the broker of the machine listens. mosquitto makes it for everybody.
	socket = "/run/mosquitto.sock"
)

// A bed is a booted gateway with the monitor, this program and Debian's mosquitto.
type bed struct {
	*gateway.Machine
	t *testing.T
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(top + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// boot boots a gateway that monitors these units. keys are those of this program.
func boot(t *testing.T, units map[string]string, keys string) *bed {
	t.Helper()
	mosquitto, err := exec.LookPath("mosquitto")
	if err != nil {
		t.Fatalf("%v; make deps unpacks it", err)
	}
	servers := filepath.Dir(filepath.Dir(filepath.Dir(mosquitto)))
	names := []string{}
	o := gateway.Options{
		Units: map[string]string{
			"mosquitto.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStartPost=/bin/chmod 0666 " + socket + "\nExecStart=" + mosquitto + " -c /etc/mosquitto.conf\nExecStartPre=/bin/rm -f " + socket + "\nRestart=no\n",
		},
		Files: map[string]string{
			"/etc/mosquitto.conf": "listener 0 " + socket + "\nlistener 1883 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n" +
				"persistence true\npersistence_location /var/lib/\nlog_type warning\nautosave_interval 1\nautosave_on_changes true\n",
			"/etc/sysusers.d/mqtt.conf":                                "u service-monitor - - /\n" + text(t, "systemd/mqtt-sysusers.conf"),
			"/etc/dbus-1/system.d/service-monitor.conf":                text(t, "systemd/dbus.conf"),
			"/etc/systemd/system/service-monitor.service.d/order.conf": text(t, "systemd/service-monitor.service.d/order.conf"),
		},
		Binds: map[string]string{servers: servers},
		Users: []string{"service-monitor"},
	}
	for name, unit := range units {
		o.Units[name] = unit
		names = append(names, name)
	}
	for _, name := range []string{"service-monitor", "service-monitor-mqtt"} {
		path := "/opt/" + name
		o.Binds[path] = gatewaytest.Build(t, name)
		o.Units[name+".service"] = strings.NewReplacer("/usr/bin/"+name+" ", path+" ", "/usr/bin/"+name+"\n", path+"\n").Replace(text(t, "systemd/"+name+".service"))
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	o.Files["/etc/service-monitor/config.json"] = fmt.Sprintf(`{"monitored_services": %s%s}`, list, keys)
	b := &bed{gatewaytest.Boot(t, o), t}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := b.Run(context.WithoutCancel(t.Context()), "journalctl", "--no-pager", "-q", "-o", "short-precise", "-u", "service-monitor-mqtt", "-u", "mosquitto", "-n", "60")
			t.Logf("the journal:\n%s", out)
		}
	})
	return b
}

func (b *bed) sh(lines string) string {
	b.t.Helper()
	out, err := b.Run(b.t.Context(), "sh", "-ec", lines)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", lines, err, out)
	}
	return strings.TrimSpace(out)
}

// history returns what the monitor has of all.
func (b *bed) history() []string {
	b.t.Helper()
	return strings.Split(b.sh("/opt/service-monitor history --json --all"), "\n")
}

// retained returns what the broker has retained, by topic.
func (b *bed) retained(filter string) map[string]string {
	b.t.Helper()
	out, err := exec.Command("mosquitto_sub", "--unix", fmt.Sprintf("/proc/%d/root%s", b.Leader(), socket), "-V", "5", "-i", "looker",
		"--retained-only", "-W", "1", "-t", filter, "-F", "%t %p").Output()
	if exit, timedOut := err.(*exec.ExitError); err != nil && (!timedOut || exit.ExitCode() != 27) { // 27 is the end of -W
		b.t.Fatalf("mosquitto_sub: %v", err)
	}
	all := map[string]string{}
	for line := range bytes.Lines(out) {
		topic, payload, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		all[topic] = payload
	}
	return all
}

// crash kills the main process of a unit that is restarted, and waits until the history has its next run.
func (b *bed) crash(unit string) {
	b.t.Helper()
	b.sh(`old=$(systemctl show -P InvocationID ` + unit + `); systemctl kill -s KILL --kill-who=main ` + unit + `
until new=$(systemctl show -P InvocationID ` + unit + `); [ "$new" != "$old" ]; do :; done
until /opt/service-monitor history --json ` + unit + ` | grep -q "\"start\".*$new"; do sleep 0.05; done`)
}

// wantRetained waits until what the broker has retained is what status says.
func (b *bed) wantRetained() {
	b.t.Helper()
	var diff string
	for late := time.Now().Add(patience); time.Now().Before(late); {
		var status struct{ Units []map[string]any }
		if err := json.Unmarshal([]byte(b.sh("/opt/service-monitor status --json || :")), &status); err != nil {
			b.t.Fatal(err)
		}
		want, got := map[string]map[string]any{}, map[string]map[string]any{}
		for _, u := range status.Units {
			want["service-monitor/gw/"+u["unit"].(string)+"/state"] = u
		}
		for topic, payload := range b.retained("service-monitor/gw/+/state") {
			var state map[string]any
			if err := json.Unmarshal([]byte(payload), &state); err != nil {
				b.t.Fatalf("%v: %s", err, payload)
			}
			got[topic] = state
		}
		for topic, u := range want {
			lasting(u, got[topic])
		}
		if diff = cmp.Diff(want, got); diff == "" {
			return
		}
	}
	b.t.Fatalf("status, and what is retained (-want +got):\n%s", diff)
}

// lasting removes from a status what changes only because time passes: all that is not published.
func lasting(status, published map[string]any) {
	for key, value := range status {
		if _, there := published[key]; !there {
			delete(status, key)
		}
		if crash, is := value.(map[string]any); is {
			delete(crash, "ago_seconds")
		}
	}
}

// awaitRetained waits until what is retained on a topic has a text.
func (b *bed) awaitRetained(filter, text string) {
	b.t.Helper()
	var all map[string]string
	for late := time.Now().Add(patience); time.Now().Before(late); {
		all = b.retained(filter) // it takes a second
		for _, payload := range all {
			if strings.Contains(payload, text) {
				return
			}
		}
	}
	b.t.Fatalf("%q is not retained, but %v", text, all)
}
