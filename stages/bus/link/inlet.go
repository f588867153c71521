package link

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBuffer is how much is read at once. It has room for some forty signals. Only in a storm
// there is more than one message to read.
const readBuffer = 64 << 10

// An inlet reads the socket into buffers. Bodies need not be copied: they lie where they were read.
type inlet struct {
	socket syscall.RawConn
	// handOver is called before each read, and again before waiting for the socket. It reports
	// whether it kept something back whose rest will come at once.
	handOver func(all bool) (kept bool)
	poll     func(file int, limit time.Duration) bool // poll, or what a test puts here
	pace     pace

	pool   sync.Pool // of buffers
	buffer *Buffer   // nil before the first read
	buf    []byte    // its bytes
	r, w   int       // buf[r:w] was read and not taken yet
	lent   bool      // a part of buf was taken
	at     time.Time // of the last read
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

// take returns the next n bytes and removes them. Nobody may write to them. They are valid until their
// buffer is released.
func (in *inlet) take(n int) ([]byte, *Buffer, error) {
	b, err := in.peek(n)
	if err != nil || n == 0 {
		return nil, nil, err
	}
	in.r += n
	in.lent = true
	in.buffer.users.Add(1)
	return b[:n:n], in.buffer, nil
}

// skip removes n bytes that nobody wants, however many there are.
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

// Read removes up to len(b) bytes, as an io.Reader.
func (in *inlet) Read(b []byte) (int, error) {
	if _, err := in.peek(1); err != nil {
		return 0, err
	}
	n := copy(b, in.buf[in.r:in.w])
	in.r += n
	return n, nil
}

// fill reads what is there, or waits for it. It makes room for n bytes, counted from the first
// one that was not taken.
func (in *inlet) fill(n int) error {
	if in.r == in.w && !in.lent {
		in.r, in.w = 0, 0
	}
	if len(in.buf)-in.r < n || len(in.buf)-in.w < readBuffer/4 {
		next := newBuffer(&in.pool, n)
		in.r, in.w = 0, copy(next.bytes, in.buf[in.r:in.w])
		in.buffer.Release()
		in.buffer, in.buf, in.lent = next, next.bytes, false
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

// read is read(2), but the Go runtime does not learn of it. If it did, it would wake the thread
// that watches over system calls. That thread then looks every 20 µs for calls that take too
// long, and this costs more than the read. The socket never blocks.
func read(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), err
}
