//go:build booted

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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

// A recorder is another client of the broker. The broker keeps for it what is published while it is away.
type recorder struct {
	t      *testing.T
	cmd    *exec.Cmd
	events chan string
	all    []string
}

func (b *bed) record(filters ...string) *recorder {
	b.t.Helper()
	args := []string{"--unix", fmt.Sprintf("/proc/%d/root%s", b.Leader(), socket), "-V", "5", "-c", "-x", "4294967295", "-i", "recorder", "-q", "1", "-F", "%p"}
	for _, f := range filters {
		args = append(args, "-t", f)
	}
	r := &recorder{t: b.t, cmd: exec.Command("mosquitto_sub", args...), events: make(chan string, 1<<16)}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(r.stop)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			r.events <- lines.Text()
		}
		close(r.events)
	}()
	return r
}

func (r *recorder) stop() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

// await waits for an event.
func (r *recorder) await(what string, is func(event string) bool) {
	r.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("the recorder has ended before %s came; it has:\n%s", what, strings.Join(r.all, "\n"))
			}
			if r.all = append(r.all, e); is(e) {
				return
			}
		case <-late:
			r.t.Fatalf("%s has not come; the recorder has:\n%s", what, strings.Join(r.all, "\n"))
		}
	}
}

// identity is what an event is recognised by.
type identity struct {
	Boot       string `json:"boot_id"`
	Seq        uint64
	Kind       string
	Invocation string
}

// once returns the events without repeats.
func once(t *testing.T, events []string) (list []string) {
	t.Helper()
	seen := map[identity]bool{}
	for _, e := range events {
		var id identity
		if err := json.Unmarshal([]byte(e), &id); err != nil {
			t.Fatalf("%v: %s", err, e)
		}
		if !seen[id] {
			seen[id] = true
			list = append(list, e)
		}
	}
	return list
}

// history returns what the monitor has of all.
func (b *bed) history() []string {
	b.t.Helper()
	return strings.Split(b.sh("/opt/service-monitor history --json --all"), "\n")
}

// awaitAll waits until the recorder has the last event of the history, and compares the two.
func (b *bed) awaitAll(r *recorder) {
	b.t.Helper()
	want := b.history()
	last := want[len(want)-1]
	if len(r.all) == 0 || r.all[len(r.all)-1] != last {
		r.await("the last event "+last, func(e string) bool { return e == last })
	}
	if diff := cmp.Diff(want, once(b.t, r.all)); diff != "" {
		b.t.Fatalf("the history, and what the recorder has (-want +got):\n%s", diff)
	}
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

// TestStoreAndForward has services crash while the broker is restarted, stopped and killed, while this program
// is killed, and while the power is cut. A recorder has all of it, in order.
func TestStoreAndForward(t *testing.T) {
	const service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=20ms\n"
	b := boot(t, map[string]string{"one.service": service, "two.service": service}, `, "mqtt_gateway": "gw", "mqtt_broker": "unix://`+socket+`"`)
	b.sh("systemctl start mosquitto")
	r := b.record("service-monitor/+/event", "service-monitor/+/+/event")
	b.sh("systemctl start service-monitor service-monitor-mqtt one two")
	b.crash("one")
	b.awaitAll(r)
	b.sh("systemctl restart mosquitto")
	b.crash("two")
	b.awaitAll(r)
	b.sh("systemctl stop mosquitto")
	b.crash("one")
	b.crash("two")
	b.sh("systemctl kill -s KILL service-monitor-mqtt")
	b.crash("one")
	b.sh("systemctl start mosquitto")
	b.awaitAll(r)
	b.wantRetained()
	b.crash("one")
	b.sh("systemctl kill -s KILL mosquitto; systemctl kill -s KILL service-monitor-mqtt")
	b.crash("two")
	b.sh("systemctl start mosquitto")
	b.awaitAll(r)
	b.wantRetained()
	r.stop()
	if err := b.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := b.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.all
	b.sh("systemctl start mosquitto")
	r = b.record("service-monitor/+/event", "service-monitor/+/+/event")
	r.all = before
	b.sh("systemctl start service-monitor service-monitor-mqtt one two")
	b.crash("two")
	b.awaitAll(r)
	b.wantRetained()
	b.sh("systemctl stop service-monitor-mqtt")
	if status := b.retained("service-monitor/gw/status")["service-monitor/gw/status"]; !strings.Contains(status, `"status":"offline","time":"`) {
		t.Errorf("after a stop the status is %s", status)
	}
	t.Logf("%d messages, %d events", len(r.all), len(once(t, r.all)))
	b.sh("/opt/service-monitor-mqtt clear")
	if left := b.retained("service-monitor/#"); len(left) > 0 {
		t.Errorf("after clear the broker has retained %v", left)
	}
}

// TestIdle wants the publisher to wake up for nothing but the keep-alive, and to stay small.
func TestIdle(t *testing.T) {
	const (
		idleFor     = 10 * time.Second
		mostWakeups = 10    // a timer that was stopped may still wake it once
		mostMemory  = 10240 // kB resident, those of the program's file among them
	)
	units := map[string]string{}
	for i := range 12 {
		units[fmt.Sprintf("idle-%d.service", i)] = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
	}
	b := boot(t, units, `, "mqtt_gateway": "gw", "mqtt_broker": "unix://`+socket+`", "mqtt_keepalive": 65535`)
	b.sh("mkdir /run/systemd/system/service-monitor-mqtt.service.d; printf '[Service]\\nWatchdogSec=0\\n' >/run/systemd/system/service-monitor-mqtt.service.d/idle.conf; systemctl daemon-reload")
	b.sh("systemctl start mosquitto service-monitor service-monitor-mqtt " + strings.Join(slices.Sorted(maps.Keys(units)), " "))
	b.wantRetained()
	b.sh("until [ -s /var/lib/service-monitor-mqtt/cursor ]; do sleep 0.1; done") // the last work of the start
	const unit = "service-monitor-mqtt"
	before, _ := gatewaytest.Wakeups(t, b.Machine, unit)
	<-time.After(idleFor) // the measurement: a busy machine makes no more of them
	after, _ := gatewaytest.Wakeups(t, b.Machine, unit)
	wakeups, memory := after-before, gatewaytest.Status(t, b.Machine, unit, "", "VmRSS")[0]
	t.Logf("idle for %v: %d wake-ups; %d kB resident", idleFor, wakeups, memory)
	if wakeups > mostWakeups {
		t.Errorf("%d wake-ups in %v, want at most %d", wakeups, idleFor, mostWakeups)
	}
	if memory > mostMemory {
		t.Errorf("%d kB resident, want at most %d", memory, mostMemory)
	}
}

// TestBytes measures what goes over the wire: for each keep-alive, and for each crash of a service that is started
// again. IP and TCP are in it, and a link layer is not.
func TestBytes(t *testing.T) {
	const service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=20ms\n"
	for name, tt := range map[string]struct {
		keys, crashes      string
		mostIdle, mostBusy int // bytes; the manual has what it usually is
	}{
		"long names":  {`, "mqtt_compact": false`, `"crashes":%d,`, 4 * 200, 3500},
		"short names": {`, "mqtt_compact": true`, `"c":%d,`, 4 * 200, 2600},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			b := boot(t, map[string]string{"mosquitto-bridge.service": service}, `, "mqtt_gateway": "gw", "mqtt_broker": "mqtt://127.0.0.1:1883", "mqtt_keepalive": 10`+tt.keys)
			b.sh("systemctl start mosquitto service-monitor service-monitor-mqtt mosquitto-bridge")
			b.sh("until [ -s /var/lib/service-monitor-mqtt/cursor ]; do sleep 0.1; done") // all was told half a minute before
			before := b.wire()
			<-time.After(30 * time.Second) // the measurement: three keep-alives, or four; a busy machine makes no more of them
			idle := b.wire() - before
			const crashes = 5
			before = b.wire()
			for i := range crashes {
				b.crash("mosquitto-bridge")
				b.awaitRetained("+/gw/mosquitto-bridge.service/+", fmt.Sprintf(tt.crashes, i+1)) // one after the other
			}
			busy := (b.wire() - before) / crashes
			t.Logf("%d bytes in three or four keep-alives, %d for a crash and the start after it", idle, busy)
			if idle > tt.mostIdle || busy > tt.mostBusy {
				t.Errorf("%d and %d bytes, want at most %d and %d", idle, busy, tt.mostIdle, tt.mostBusy)
			}
		})
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

// wire returns how many bytes have gone over the loopback interface, in both directions.
func (b *bed) wire() int {
	b.t.Helper()
	n, err := strconv.Atoi(b.sh("sed -n 's/^ *lo: *\\([0-9]*\\) .*/\\1/p' /proc/net/dev"))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}
