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

// memoryLimit is the memory limit of the Go runtime, without the memory for the services. The
// monitor may use 16 MB in all. Without a limit, the heap doubles before it is collected: the
// monitor reached 17.5 MB when the backlog of bus was full. With 13 MiB it reaches 13.8 MB
// and takes no more CPU time. With 10 MiB the garbage collector never rests.
const memoryLimit = 13 << 20

// perService is twice the memory that one service takes, so that the garbage collector does
// not run all the time. It is an estimate for the start. After that the limit is computed
// from the size of the heap.
const perService = 2 << 10

// limitMemory sets the memory limit to memoryLimit plus beyond, unless GOMEMLIMIT is set.
func limitMemory(beyond uint64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(memoryLimit + beyond))
	}
}

// collectOften makes the garbage collector run when the heap has grown by half, and first at 2
// MB instead of 4 MB, unless GOGC is set. That costs little, because little is allocated.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

const (
	// burst is how much must have been allocated before it is worth giving memory back. It
	// is as much as a few saves of the state allocate.
	burst = 128 << 10
	// calm is how much is allocated at most from one round of health to the next if nothing
	// happens.
	calm = 64 << 10
	// enough is how long it takes until memory is given back even if little was allocated.
	// By itself the runtime collects after two minutes, and wakes up for that. enough is
	// shorter, so it happens in a round that wakes the monitor anyway.
	enough = 100 * time.Second
)

// A housekeeper gives memory back to the system when the service manager is notified. That
// happens at each round of health, which wakes the monitor anyway. Giving memory back needs
// a garbage collection, so it runs in a goroutine of its own: Notify must not block.
type housekeeper struct {
	pipeline.Notifier
	work func(ready bool)
	busy atomic.Bool
}

// keepHouse returns a notifier that also gives memory back; nil if n is nil.
func keepHouse(n pipeline.Notifier) pipeline.Notifier {
	if n == nil {
		return nil
	}
	var r reclaimer
	return &housekeeper{Notifier: n, work: func(ready bool) {
		if ready {
			r.reclaim()
		} else {
			r.look()
		}
	}}
}

func (h *housekeeper) Notify(state string) {
	h.Notifier.Notify(state)
	if !h.busy.CompareAndSwap(false, true) {
		return // the next round will do it
	}
	ready := strings.Contains(state, daemon.SdNotifyReady)
	pipeline.Aside(func() struct{} {
		defer h.busy.Store(false)
		h.work(ready)
		return struct{}{}
	})
}

// A reclaimer gives memory back to the system after a start or a burst. By itself the runtime
// does so after some minutes, and keeps 4 MB.
type reclaimer struct {
	before uint64    // what allocated returned when memory was given back last
	seen   uint64    // what allocated returned at the last look
	at     time.Time // when memory was given back last
}

// look gives memory back if a burst is over, or if it was not done for long enough.
func (r *reclaimer) look() {
	now := allocated()
	over := now-r.seen < calm
	if r.seen = now; over && (now-r.before >= burst || time.Since(r.at) >= enough) {
		r.reclaim()
	}
}

// reclaim gives all memory back that is not in use.
func (r *reclaimer) reclaim() {
	debug.FreeOSMemory()
	limitMemory(measure("/gc/heap/live:bytes"))
	r.before, r.at = allocated(), time.Now()
	r.seen = r.before
}

// allocated returns how many bytes of the heap were allocated so far.
func allocated() uint64 { return measure("/gc/heap/allocs:bytes") }

// measure reads a metric of the Go runtime.
func measure(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
