package link

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// It is a storm if so many signals come in a window of time. One unit that is
// restarted has sixteen.
const (
	window = 50 * time.Millisecond
	storm  = 40
	// What comes in a storm is read when about enough of it is there, for which the bus
	// has room.
	enough   = 32
	shortest = time.Millisecond / 2
	longest  = 2 * time.Millisecond
)

// A pace says how to wait for the socket. In a storm, the runtime's way costs more
// than all that is done with a signal: its thread sleeps in epoll_wait(2), and is woken
// by each message, whether it is to be read now or not. So the goroutine that reads
// sleeps instead, and the runtime does not know. There is one thread for all stages,
// and they have done what they can before. What else wants to run, a timer or a disk
// that is done, is late by longest at most.
type pace struct {
	begun       time.Time // when the window did
	now, before int       // signals in this window, and in the one before
}

// wait waits a little where there is a storm, and reports whether to try again. If
// not, it is for the runtime to wait.
func (p *pace) wait() bool {
	d := p.next(time.Now())
	if d == 0 {
		return false
	}
	// Twice, because the scheduler may run this goroutine before others, to be fair.
	runtime.Gosched()
	runtime.Gosched()
	sleep(d)
	return true
}

// next says how long to wait: not at all where there is no storm.
func (p *pace) next(now time.Time) time.Duration {
	if span := now.Sub(p.begun); span >= window {
		p.before = p.now
		if span >= 2*window {
			p.before = 0
		}
		p.begun, p.now = now, 0
	}
	level := max(p.now, p.before)
	if level < storm {
		return 0
	}
	return min(max(window*enough/time.Duration(level), shortest), longest)
}

// atOnce is more than it takes until the other half of a change comes.
const atOnce = time.Millisecond

// poll waits until a file can be read, and reports whether it can. It is ppoll(2)
// without telling the runtime. A signal may end it before the limit.
func poll(file int, limit time.Duration) bool {
	files := [1]unix.PollFd{{Fd: int32(file), Events: unix.POLLIN}}
	span := unix.NsecToTimespec(limit.Nanoseconds())
	n, _, err := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&files[0])), uintptr(len(files)), uintptr(unsafe.Pointer(&span)), 0, 0, 0)
	return err == 0 && n > 0
}

// sleep is nanosleep(2) without telling the runtime, which would have another thread
// take over, and that one go to epoll_wait(2).
func sleep(d time.Duration) {
	span := unix.NsecToTimespec(d.Nanoseconds())
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&span)), 0, 0) // a signal may end it
}
