package link

import (
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBuffer is how much is read at once. More than one message is there only in a
// storm; then it takes forty signals.
const readBuffer = 64 << 10

// An inlet is what comes from the socket. It is read into buffers that are not used
// again, so that bodies need not be copied: they lie where they were read.
type inlet struct {
	socket syscall.RawConn
	// handOver is called before more is read, and again before that is waited for. It
	// reports whether something was kept back because the rest of it comes at once.
	handOver func(all bool) (kept bool)
	poll     func(file int, limit time.Duration) bool // see poll, but for tests
	pace     pace

	buf  []byte
	r, w int       // what was read and not taken
	lent bool      // some of buf was handed out for good
	at   time.Time // when it was read last
}

func newInlet(socket *net.UnixConn, handOver func(all bool) bool) (*inlet, error) {
	raw, err := socket.SyscallConn()
	return &inlet{socket: raw, handOver: handOver, poll: poll}, err
}

// peek returns the next n bytes, which are valid until more is read.
func (in *inlet) peek(n int) ([]byte, error) {
	for in.w-in.r < n {
		if err := in.fill(n); err != nil {
			return nil, err
		}
	}
	return in.buf[in.r : in.r+n], nil
}

// take takes the next n bytes off, for good. They are not to be written to.
func (in *inlet) take(n int) ([]byte, error) {
	b, err := in.peek(n)
	if err != nil {
		return nil, err
	}
	in.r += n
	in.lent = true
	return b[:n:n], nil
}

// skip takes n bytes off that nobody wants, however many they are.
func (in *inlet) skip(n int) error {
	for n > in.w-in.r {
		n -= in.w - in.r
		in.r = in.w
		if err := in.fill(1); err != nil {
			return err
		}
	}
	in.r += n
	return nil
}

// Read takes off up to len(b) bytes, as io.Reader has it.
func (in *inlet) Read(b []byte) (int, error) {
	if _, err := in.peek(1); err != nil {
		return 0, err
	}
	n := copy(b, in.buf[in.r:in.w])
	in.r += n
	return n, nil
}

// fill reads what is there, or waits for it, into a buffer that has room for n bytes
// from the first one that was not taken.
func (in *inlet) fill(n int) error {
	if in.r == in.w && !in.lent {
		in.r, in.w = 0, 0
	}
	if len(in.buf)-in.r < n || len(in.buf)-in.w < readBuffer/4 {
		buf := make([]byte, max(readBuffer, n))
		in.r, in.w = 0, copy(buf, in.buf[in.r:in.w])
		in.buf, in.lent = buf, false
	}
	kept := in.handOver(false)
	var got int
	var err syscall.Errno
	waiting := in.socket.Read(func(fd uintptr) bool {
		for {
			if kept && !in.poll(int(fd), atOnce) {
				in.handOver(true)
			}
			kept = false
			got, err = read(fd, in.buf[in.w:])
			switch {
			case err == unix.EINTR:
			case err != unix.EAGAIN:
				return true
			case !in.pace.wait():
				return false
			}
		}
	})
	in.at = time.Now()
	switch {
	case waiting != nil:
		return waiting
	case err != 0:
		return err
	case got == 0:
		return io.EOF
	}
	in.w += got
	return nil
}

// read is read(2) without telling the runtime, which would wake the thread that watches
// over threads in system calls: it then looks every 20 µs for what runs too long, and
// that costs more than to read. The socket is one that never blocks.
func read(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), err
}
