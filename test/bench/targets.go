package main

import "service-monitor/test/bench/result"

// targets are the figures that the daemon must reach.
var targets = []result.Target{
	{Load: loadStorm, Figure: cpuPerSignals, OfFloor: 1},
	{Load: loadStorm, Figure: busPeak, OfFloor: 1.2},
	{Load: loadStorm, Figure: peakRSS, AtMost: 12},
	{Load: loadStorm, Figure: lost, AtMost: 0, Always: true},
	{Load: loadReaders, Figure: readersCPU, AtMost: 1.1},
	{Load: loadReaders, Figure: moreRSS, AtMost: 1},
	{Load: loadReaders, Figure: lost, AtMost: 0, Always: true},
	{Load: loadReal, Contestant: monitor, Figure: cpuPerCrash, OfFloor: 1.3},
	{Load: loadReal, Contestant: monitor, Figure: drained, AtMost: 100},
	{Load: loadReal, Contestant: monitor, Figure: lost, AtMost: 0, Always: true},
	{Load: loadSingle, Contestant: monitor, Figure: fsyncs, AtMost: crashFsyncs},
	{Load: loadSingle, Contestant: monitor, Case: caseOnce, Figure: appended, AtMost: 1}, // a restart is logged when it happens
	{Load: loadDay, Contestant: monitor, Figure: diskPerDay, AtMost: 25},
	{Load: loadLatency, Contestant: everyLine, Figure: latency50, OfFloor: 1.1},
	{Load: loadLatency, Contestant: everyLine, Figure: latency99, OfFloor: 1.1},
	{Load: loadIdle, Contestant: monitor, Figure: rss, OfFloor: 2},
	{Load: loadIdle, Contestant: monitor, Figure: anonymous, AtMost: 3},
	// Only the watchdog may wake the daemon up, so without it there must be no wake-ups. The Go
	// runtime has two a minute in every program, because its sysmon looks around now and then.
	{Load: loadIdle, Contestant: unwatched, Figure: wakeups, AtMost: 0},
	{Load: loadIdle, Contestant: monitor, Figure: diskPerHour, AtMost: 0, Always: true},
	{Load: loadIdle, Contestant: monitor, Figure: fsyncsPerHour, AtMost: 0, Always: true},
	{Load: loadStart, Contestant: monitor, Case: "12 services", Figure: ready, AtMost: 20},
	{Load: loadStart, Contestant: monitor, Case: "12 services", Figure: readyAgain, AtMost: 20},
	{Load: loadStart, Contestant: monitor, Case: "200 services", Figure: ready, AtMost: 40},
	{Load: loadStart, Contestant: monitor, Case: "200 services", Figure: readyAgain, AtMost: 40},
	// The cost may grow 1.3 times, or as much as that of the floor. The floor grows, too: with more
	// units it has other match rules, and caches serve everybody less well.
	{Load: loadGrown, Contestant: everyLine, Figure: cpuGrowth, AtMost: flat, OfFloor: 1, Either: true},
	{Load: loadGrown, Contestant: everyLine, Figure: latencyGrowth, AtMost: flat, OfFloor: 1, Either: true},
	{Load: loadGrown, Contestant: everyLine, Figure: rssPerUnit, AtMost: 1024},
	{Load: loadCrowded, Contestant: monitor, Figure: readyTimes, AtMost: 1.2},
	{Load: loadCrowded, Contestant: monitor, Figure: peakTimes, AtMost: 1.2},
	{Load: loadCrowded, Contestant: monitor, Figure: stateTimes, AtMost: 1.2},
	{Load: loadCrowd, Contestant: monitor, Figure: lost, AtMost: 0, Always: true},
}

// flat is how many times the cost of the fewest units the most units may cost.
const flat = 1.3

// crashFsyncs is how often fsync(2) is called for a crash: for the state file, its directory and the
// history.
const crashFsyncs = 3

// Names of loads and of figures, with their units.
const (
	loadStorm   = "storm on a private bus"
	loadReaders = "a storm with readers that read nothing, to one without"
	loadCrowd   = "a crowd under a glob"
	loadAfter   = "a start after a crowd"
	loadCrowded = "a start after a crowd, to one after none"
	loadStart   = "start"
	loadIdle    = "idle"
	loadReal    = "real units"
	loadSingle  = "one crash"
	loadDay     = "a unit that crashes all day"
	loadLatency = "a restart every 50 ms"
	loadUnits   = "growth with units"
	loadRates   = "growth with events"
	loadGrown   = "growth from the fewest units to the most"

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
	cpuToReady     = "CPU ms until ready"
	cpuToStop      = "CPU ms of the stop, with a save"
	cpuPerCrash    = "CPU ms / crash"
	crashRate      = "crashes / s"
	diskPerCrash   = "kB to disk / crash"
	// journald writes the lines of the daemon, and what PID 1 says of the crash.
	journalDiskPerCrash = "… journald's kB"
	diskPerDay          = "MB to the device / day"
	filesPerDay         = "… in pages of files"
	journalPerDay       = "… journald's MB, of the lines"
	crashesPerMinute    = "crashes / min"
	fsyncsPerCrash      = "fsyncs / crash"
	fsyncs              = "fsyncs"
	appended            = "writes to the log"
	summed              = "… a minute later, to sum up"
	deviceOnce          = "kB to the device"
	filesOnce           = "… in pages of files"
	cpuPerEvent         = "CPU ms / event"
	latency50           = "latency ms p50"
	latency99           = "latency ms p99"
	latencyMax          = "latency ms max"
	cpuGrowth           = "CPU / event, times"
	latencyGrowth       = "latency p50, times"
	rssPerUnit          = "RSS bytes / unit"
	passRate            = "instances / s"
	cpuPerPass          = "CPU ms / instance"
	stateKB             = "state file kB"
	largestSave         = "… at its largest"
	readersCPU          = "CPU / signal, times"
	moreRSS             = "peak RSS MB, more"
	readyTimes          = "ready, times"
	cpuTimes            = "CPU until ready, times"
	peakTimes           = "peak RSS, times"
	stateTimes          = "state file, times"
)
