package link

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How the socket is waited for depends on how many signals came in this window of
// time or in the one before, whichever has more.
const (
	window = 50 * time.Millisecond
	// some signals: more are likely to come at once. A unit that is restarted has
	// sixteen.
	some  = 4
	await = 2 * time.Millisecond
	// many signals, of several units or of one in a crash loop: they are read when
	// about enough of them have come, for which the bus has room.
	many     = 50
	enough   = 32
	shortest = time.Millisecond
	longest  = 5 * time.Millisecond
)

// A way is one of waiting.
type way uint8

const (
	park way = iota // as the runtime has it
	look            // here, until something comes
	nap             // whatever comes
)

// A pace says how to wait for the socket. The runtime's way costs more than all that
// is done with a signal: its thread sleeps in epoll_wait(2) and is woken by each
// message, whether it is to be read now or not, and each time that there is something
// to do it wakes another thread, which watches over it. Where signals come fast, the
// goroutine that reads sleeps in ppoll(2), and the runtime does not know. There is one
// thread for all stages, and they have done what they can before. What else wants to
// run, a timer or a disk that is done, is late by longest at most.
type pace struct {
	begun       time.Time // when the window did
	now, before int       // signals
}

// wait waits a little for the socket, and reports whether to try again. If not, it is
// for the runtime to wait.
func (p *pace) wait(socket int) bool {
	how, d := p.next(time.Now())
	if how == park {
		return false
	}
	// Twice, because the scheduler may run this goroutine before others, to be fair.
	runtime.Gosched()
	runtime.Gosched()
	if how == nap {
		poll(nothing, d)
		return true
	}
	return poll(socket, d)
}

// next says how to wait, and how long.
func (p *pace) next(now time.Time) (way, time.Duration) {
	if span := now.Sub(p.begun); span >= window {
		p.before = p.now
		if span >= 2*window {
			p.before = 0
		}
		p.begun, p.now = now, 0
	}
	switch level := max(p.now, p.before); {
	case level < some:
		return park, 0
	case level < many:
		return look, await
	default:
		return nap, min(max(window*enough/time.Duration(level), shortest), longest)
	}
}

// nothing is a file that poll(2) ignores.
const nothing = -1

// poll waits until a file can be read, and reports whether it can. It is ppoll(2)
// without telling the runtime, which would have another thread take over.
func poll(file int, limit time.Duration) bool {
	files := [1]unix.PollFd{{Fd: int32(file), Events: unix.POLLIN}}
	timeout := unix.NsecToTimespec(limit.Nanoseconds())
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&files[0])), uintptr(len(files)), uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	return errno == 0 && n > 0
}
