//go:build booted

package main

import (
	"strings"
	"testing"
)

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
