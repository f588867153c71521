package main

import "service-monitor/test/bench/result"

// targets are where the daemon is to arrive.
var targets = []result.Target{
	{Load: loadStorm, Figure: cpuPerSignals, OfFloor: 1},
	{Load: loadStorm, Figure: busPeak, OfFloor: 1.2},
	{Load: loadStorm, Figure: peakRSS, AtMost: 12},
	{Load: loadStorm, Figure: lost, AtMost: 0, Always: true},
	{Load: loadReal, Figure: cpuPerCrash, OfFloor: 1.3},
	{Load: loadReal, Figure: drained, AtMost: 100},
	{Load: loadReal, Figure: lost, AtMost: 0, Always: true},
	{Load: loadSingle, Figure: fsyncs, AtMost: saveFsyncs},
	{Load: loadSingle, Figure: appended, AtMost: 1},
	{Load: loadDay, Figure: diskPerDay, AtMost: 50},
	{Load: loadLatency, Figure: latency50, OfFloor: 1.1},
	{Load: loadLatency, Figure: latency99, OfFloor: 1.1},
	{Load: loadIdle, Figure: rss, OfFloor: 2},
	{Load: loadIdle, Figure: anonymous, AtMost: 3},
	{Load: loadIdle, Figure: wakeups, AtMost: idleWakeups},
	{Load: loadIdle, Figure: diskPerHour, AtMost: 0},
	{Load: loadIdle, Figure: fsyncsPerHour, AtMost: 0},
	{Load: loadIdle, Case: "12 services", Figure: ready, AtMost: 20},
	{Load: loadIdle, Case: "200 services", Figure: ready, AtMost: 40},
}

// saveFsyncs is how often a save calls fsync(2): for the file and its directory.
const saveFsyncs = 2

// idleWakeups is what the watchdog may cost in a second: it is served every ten,
// and each of six stages answers, each time with a nap of the helper thread.
const idleWakeups = 1.5

// Names of loads and of figures, with their units.
const (
	loadStorm   = "storm on a private bus"
	loadIdle    = "idle"
	loadReal    = "real units"
	loadSingle  = "one crash"
	loadDay     = "a unit that crashes all day"
	loadLatency = "a restart every 50 ms"
	loadUnits   = "growth with units"
	loadRates   = "growth with events"

	cpuPerSignals  = "CPU s / 10,000 signals"
	childCPU       = "… its children's"
	busCPU         = "… dbus-daemon's"
	journalCPU     = "… journald's"
	signalRate     = "signals / s"
	peakRSS        = "peak RSS MB"
	peakAnonymous  = "peak anonymous MB"
	busPeak        = "dbus-daemon's peak RSS MB"
	drained        = "drained ms"
	lost           = "lost"
	gaps           = "gaps"
	rss            = "RSS MB"
	anonymous      = "anonymous MB"
	wakeups        = "wake-ups / s"
	writtenPerHour = "kB written / h, sockets too"
	diskPerHour    = "kB to disk / h"
	fsyncsPerHour  = "fsyncs / h"
	ready          = "ready ms"
	readyAgain     = "ready ms, second start"
	cpuPerCrash    = "CPU ms / crash"
	crashRate      = "crashes / s"
	diskPerCrash   = "kB to disk / crash"
	// journald writes the lines of the daemon, and what PID 1 says of the crash.
	journalDiskPerCrash = "… journald's kB"
	diskPerDay          = "MB to disk / day"
	fsyncsPerCrash      = "fsyncs / crash"
	fsyncs              = "fsyncs"
	appended            = "writes to the log"
	diskOnce            = "kB to disk"
	cpuPerEvent         = "CPU ms / event"
	latency50           = "latency ms p50"
	latency99           = "latency ms p99"
	latencyMax          = "latency ms max"
)
