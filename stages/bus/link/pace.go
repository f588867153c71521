package link

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// It is a storm if so many signals come in so short a time. A restart of one unit makes
// sixteen.
const (
	window = 50 * time.Millisecond
	storm  = 40
	// In a storm the socket is read when about so much has come. The bus has room for it.
	enough   = 32
	shortest = time.Millisecond / 2
	longest  = 2 * time.Millisecond
)

// A pace says how to wait for the socket. In a storm the Go runtime's way of waiting costs more
// than all other work on a signal: its thread sleeps in epoll_wait(2), and each message wakes
// it. So in a storm the reading goroutine sleeps itself, and the runtime does not know. All
// stages share one thread, and they have done their work before. Anything else that wants to
// run, such as a timer, is late by longest at most.
type pace struct {
	begun       time.Time // the present span of time
	now, before int       // signals in this span, and in the one before
}

// wait waits a little if there is a storm, and reports whether to try to read again. If not,
// the runtime has to wait for the socket.
func (p *pace) wait() bool {
	d := p.next(time.Now())
	if d == 0 {
		return false
	}
	// Twice, because the scheduler now and then runs this goroutine before others, to be fair.
	runtime.Gosched()
	runtime.Gosched()
	sleep(d)
	return true
}

// next returns how long to wait. It is 0 if there is no storm.
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

// atOnce is longer than it takes until the other half of a change comes.
const atOnce = time.Millisecond

// poll waits until a file can be read, and reports whether it can. It is ppoll(2), but the
// runtime does not learn of it. A signal may end it before the limit.
func poll(file int, limit time.Duration) bool {
	files := [1]unix.PollFd{{Fd: int32(file), Events: unix.POLLIN}}
	span := unix.NsecToTimespec(limit.Nanoseconds())
	n, _, err := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&files[0])), uintptr(len(files)), uintptr(unsafe.Pointer(&span)), 0, 0, 0)
	return err == 0 && n > 0
}

// sleep is nanosleep(2), but the runtime does not learn of it. If it did, it would let another
// thread take over, which would then sleep in epoll_wait(2).
func sleep(d time.Duration) {
	span := unix.NsecToTimespec(d.Nanoseconds())
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&span)), 0, 0) // a signal may end it
}
