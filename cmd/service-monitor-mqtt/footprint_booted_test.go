//go:build booted

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"service-monitor/test/gateway/gatewaytest"
)

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

// wire returns how many bytes have gone over the loopback interface, in both directions.
func (b *bed) wire() int {
	b.t.Helper()
	n, err := strconv.Atoi(b.sh("sed -n 's/^ *lo: *\\([0-9]*\\) .*/\\1/p' /proc/net/dev"))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}
