package main

import (
	"fmt"
	"strings"
	"time"

	"service-monitor/stages/bus/plan"
	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

var (
	killed   = classify.Cause{Result: "signal", Code: 2, Status: 9}
	segv     = classify.Cause{Result: "core-dump", Code: 3, Status: 11}
	exitOne  = classify.Cause{Result: "exit-code", Code: 1, Status: 1}
	noExec   = classify.Cause{Result: "exit-code", Code: 1, Status: 203}
	watchdog = classify.Cause{Result: "watchdog", Code: 2, Status: 6}
)

// scenes are the worlds that can be shown.
var scenes = map[string]func(now time.Time) *world{
	"well":    well,
	"trouble": trouble,
	"none":    none,
	"many":    many,
	"hostile": hostile,
	"away":    away,
	"blind":   blind,
}

const day = 24 * time.Hour

// none is a monitor with nothing to monitor.
func none(now time.Time) *world {
	w := newWorld(now)
	w.away(now.Add(-8*day), now.Add(-8*day))
	return w.finish()
}

// well is a gateway on which nothing is wrong now.
func well(now time.Time) *world {
	w := newWorld(now)
	w.well(now)
	return w.finish()
}

func (w *world) well(now time.Time) {
	first := now.Add(-8 * day)
	for _, name := range []string{"dbus", "ssh", "systemd-timesyncd", "wirepas-sink@ttyS1", "wirepas-sink@ttyS2", "telegraf"} {
		w.unit(name+".service", "active", "running", first)
	}
	modem := w.unit("ModemManager.service", "active", "running", first)
	for i := range 5 {
		at := now.Add(-6*day + time.Duration(i)*27*time.Hour + time.Duration(i*i)*11*time.Minute)
		w.crash(modem, at, watchdog, true)
		w.restart(modem, at.Add(5*time.Second))
	}
	broker := w.unit("mosquitto.service", "active", "running", first)
	w.stop(broker, now.Add(-9*time.Hour), "deactivating")
	w.start(broker, now.Add(-9*time.Hour+4*time.Minute))
	migrate := w.unit("migrate.service", "inactive", "dead", first)
	w.start(migrate, now.Add(-5*day))
	w.stop(migrate, now.Add(-5*day+3*time.Second), "activating")
	modbus := w.unit("modbus-bridge.service", "active", "running", first)
	w.stop(modbus, now.Add(-27*time.Hour), "deactivating")
	w.away(now.Add(-13*time.Hour), now.Add(-12*time.Hour-20*time.Minute))
	w.away(now.Add(-4*day), now.Add(-4*day+5*time.Hour))
}

// trouble is a gateway with a service in each state that needs attention.
func trouble(now time.Time) *world {
	w := newWorld(now)
	w.well(now)
	first := now.Add(-8 * day)
	gateway := w.unit("wirepas-gateway.service", "active", "running", first)
	w.plans[gateway.Unit] = &plan.Plan{Restart: "always", Pause: 5 * time.Second, Delay: 5 * time.Second, Burst: 5, Interval: 10 * time.Second}
	at := now.Add(-36*time.Minute - 33*time.Second)
	for ; at.Before(now.Add(-19 * time.Second)); at = at.Add(17 * time.Second) {
		w.crash(gateway, at, segv, true)
		w.restart(gateway, at.Add(5*time.Second))
	}
	w.crash(gateway, now.Add(-2*time.Second), segv, true, "connecting to tcp://127.0.0.1:1883", "sink /dev/ttyS1: 115200 baud, firmware 5.2.0.47", "stack: frame with 0 bytes of payload from node 1083921", "free(): invalid pointer")
	sink := w.unit("lora-concentrator.service", "active", "running", first)
	w.plans[sink.Unit] = &plan.Plan{Restart: "on-failure", Pause: 100 * time.Millisecond, Burst: 5, Interval: 10 * time.Second}
	for i := range 5 {
		w.crash(sink, now.Add(-2*time.Hour+time.Duration(i)*time.Second), noExec, true, "lora-concentrator.service: Failed at step EXEC spawning /opt/lora/bin/concentrator: No such file or directory")
		if i < 4 {
			w.restart(sink, now.Add(-2*time.Hour+time.Duration(i)*time.Second+100*time.Millisecond))
		}
	}
	w.giveUp(sink, now.Add(-2*time.Hour+5*time.Second))
	check := w.unit("hwcheck.service", "inactive", "dead", first)
	w.plans[check.Unit] = &plan.Plan{Restart: "no", TriggeredBy: []string{"hwcheck.timer"}}
	w.start(check, now.Add(-time.Hour-4*time.Second))
	w.crash(check, now.Add(-time.Hour), exitOne, false, "checking eMMC wear: 61 %", "checking RTC battery: 2.1 V, at least 2.6 V wanted", "1 of 7 checks failed")
	lora := w.unit("lora-pktfwd.service", decode.NotLoaded, "", first)
	lora.Life = &classify.Life{ActiveState: "inactive", SubState: "dead"}
	gateway.AtLeast = true
	return w.finish()
}

// away is the same gateway some time after its monitor was stopped.
func away(now time.Time) *world {
	w := trouble(now.Add(-47 * time.Minute))
	w.stopped = now.Add(-47 * time.Minute).In(zone)
	return w
}

// blind is a gateway whose monitor cannot see everything.
func blind(now time.Time) *world {
	w := well(now)
	w.troubles = []string{"bus lost since " + now.Add(-time.Minute).In(zone).Format(time.TimeOnly), "cannot save state since 11:58:07: no space left on device"}
	return w
}

// many is a machine with 1,000 services, one in forty of which is not well.
func many(now time.Time) *world {
	w := newWorld(now)
	first := now.Add(-8 * day)
	for i := range 1000 {
		u := w.unit(fmt.Sprintf("worker-%03d@node-%d.service", i, i%7), "active", "running", first)
		at := now.Add(-time.Duration(i%168) * time.Hour)
		switch {
		case i%40 == 7:
			w.crash(u, at.Add(-time.Minute), exitOne, false)
		case i%11 == 3:
			w.crash(u, at.Add(-time.Minute), killed, true)
			w.restart(u, at.Add(-time.Minute+2*time.Second))
		case i%17 == 5:
			w.stop(u, at.Add(-time.Minute), "deactivating")
		}
	}
	return w.finish()
}

// hostile has names and last words that try to be something else.
func hostile(now time.Time) *world {
	w := newWorld(now)
	first := now.Add(-8 * day)
	for _, name := range []string{
		`<script>document.title='owned'</script>.service`, `"><img src=x onerror=document.title='owned'>.service`, "'&quot;&lt;b&gt;.service",
		"\u202eecivres.live\u202c.service", strings.Repeat("long-", 200) + "@ttyS1.service", `dev-disk-by\x2duuid\x2d0a1b.service`, "a/b#c?d%2f%zz.service", "tab\there\x1b[31m.service",
	} {
		u := w.unit(name, "active", "running", first)
		w.crash(u, now.Add(-time.Hour), classify.Cause{Result: "<i>odd</i>"}, false,
			"</script><script>document.title='owned'</script>", "<img src=x onerror=document.title='owned'>", "\u202eright to left\u2066", strings.Repeat("no-break", 300), "\x1b[31mred\x07", `{"json":"\u003c"}`)
	}
	w.troubles = []string{"<script>document.title='owned'</script>"}
	return w.finish()
}
