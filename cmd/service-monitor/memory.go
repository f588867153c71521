package main

import (
	"os"
	"reflect"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

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
	// nothing was collected for two minutes the runtime does so, which brings back 0.7 MB
	// of pages of the program; this is sooner, instead of that, and gives them back.
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
	if smaps, err := os.ReadFile("/proc/self/smaps"); err == nil {
		for _, m := range program(string(smaps)) {
			// If it fails, they stay.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
		}
	}
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

// A mapping is a range of addresses.
type mapping struct{ from, to uintptr }

func (m mapping) holds(address uintptr) bool { return m.from <= address && address < m.to }

// unwritten is the key of how much of a mapping is not its file's: somebody wrote
// to it, be it only the dynamic linker before it closed the mapping to writing.
const unwritten = "Anonymous:"

// header is how a program begins, and with it the mapping of its code.
const header = "\x7fELF"

// program returns the mappings of our code and our constants, where nothing was
// ever written to them (proc_pid_smaps(5)). A start needs nearly all of their
// 4.5 MB, and a monitor at rest less than half. The pages are the page cache's: what
// is dropped and needed after all comes back from there, 64 kB with each page fault.
// So nothing is lost; but nor does the system gain more than the knowledge that
// these pages are not in use.
//
// An emulator (qemu-user) shows its own addresses, which may be ours and some pages
// more: then to drop them would hit our variables. There, the code does not begin
// where it says.
func program(smaps string) (found []mapping) {
	code := reflect.ValueOf(program).Pointer()
	constant := uintptr(unsafe.Pointer(unsafe.StringData(unwritten)))
	var m mapping
	ours := false // the addresses
	for line := range strings.Lines(smaps) {
		fields := append(strings.Fields(line), "", "")
		if next, ok := parseMapping(fields[0]); ok {
			if m = next; strings.Contains(fields[1], "w") {
				m = mapping{}
			}
			continue
		}
		if m.holds(code) {
			first := unsafe.Add(unsafe.Pointer(unsafe.StringData(unwritten)), int(m.from)-int(constant))
			ours = unsafe.String((*byte)(first), len(header)) == header
		}
		if fields[0] == unwritten && fields[1] == "0" && ours && (m.holds(code) || m.holds(constant)) {
			found = append(found, m)
		}
	}
	return found
}

func parseMapping(text string) (m mapping, ok bool) {
	from, to, ok := strings.Cut(text, "-")
	first, err := strconv.ParseUint(from, 16, strconv.IntSize)
	last, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
	return mapping{uintptr(first), uintptr(last)}, ok && err == nil && err2 == nil
}
