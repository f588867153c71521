package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"service-monitor/pipeline"
)

// memoryLimit is what the Go runtime may keep of the 16 MB that the monitor may
// cost, beside what is known of the services. Without it, a heap that doubles before
// it is collected reached 17.5 MB when the bus's backlog was full; with 13 MiB that is
// 13.8, for no more CPU time, and with 10 the collector never rests.
const memoryLimit = 13 << 20

// perService is what is known of a service and as much again, so that the collector
// is not at it all the time. It is a guess for the start, of whose services not all
// may be known; when that is over, there is the heap itself.
const perService = 2 << 10

// limitMemory lets the Go runtime keep so much beyond memoryLimit, where nobody has
// set GOMEMLIMIT.
func limitMemory(beyond uint64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(memoryLimit + beyond))
	}
}

// collectOften has the collector run when half as much garbage is there as is in use,
// and first at 2 MB, not 4, where nobody has set GOGC. Little is allocated.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

const (
	// burst is what is allocated before it is worth while to give back, for some
	// saves of the state.
	burst = 128 << 10
	// calm is as much as may be allocated from one round of health to the next when
	// nothing happens.
	calm = 64 << 10
	// enough is after how long memory is given back although little has happened. When
	// nothing was collected for two minutes the runtime does so, and wakes up for it.
	// This is sooner, in a round that wakes the monitor anyway.
	enough = 100 * time.Second
)

// A housekeeper gives memory back when the service manager is told something. That is so
// at each round of health, which wakes the monitor anyway. To give back takes a
// collection, so it runs beside the one who tells: Notify must not block.
type housekeeper struct {
	pipeline.Notifier
	work func(ready bool)
	busy atomic.Bool
}

// keepHouse returns a notifier that also gives memory back, nil for none.
func keepHouse(n pipeline.Notifier) pipeline.Notifier {
	if n == nil {
		return nil
	}
	var s spare
	return &housekeeper{Notifier: n, work: func(ready bool) {
		if ready {
			s.give()
		} else {
			s.look()
		}
	}}
}

func (h *housekeeper) Notify(state string) {
	h.Notifier.Notify(state)
	if !h.busy.CompareAndSwap(false, true) {
		return // there is a next round
	}
	ready := strings.Contains(state, daemon.SdNotifyReady)
	pipeline.Aside(func() struct{} {
		defer h.busy.Store(false)
		h.work(ready)
		return struct{}{}
	})
}

// spare gives memory back that a start or a burst took, once that is over. By
// itself the runtime does so after minutes, and keeps 4 MB.
type spare struct {
	given, seen uint64    // bytes that were allocated up to then
	at          time.Time // when it was given back
}

// look gives back what a burst took that is over, or what came back by and by.
func (s *spare) look() {
	now := allocated()
	over := now-s.seen < calm
	if s.seen = now; over && (now-s.given >= burst || time.Since(s.at) >= enough) {
		s.give()
	}
}

// give gives back what is not in use.
func (s *spare) give() {
	debug.FreeOSMemory()
	limitMemory(measure("/gc/heap/live:bytes"))
	s.given, s.at = allocated(), time.Now()
	s.seen = s.given
}

// allocated is how many bytes of the heap were allocated so far.
func allocated() uint64 { return measure("/gc/heap/allocs:bytes") }

// measure reads a metric of the runtime.
func measure(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
