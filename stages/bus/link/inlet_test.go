package link

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// connected returns an inlet and the other end of its socket.
func connected(t *testing.T) (*inlet, net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range pair {
		file := os.NewFile(uintptr(fd), "")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
		t.Cleanup(func() { ends[i].Close() })
	}
	in, err := newInlet(ends[0].(*net.UnixConn), func(bool) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	return in, ends[1]
}

// TestInlet takes a stream off in every way, and wants what was taken to be what was sent, until it
// is released.
func TestInlet(t *testing.T) {
	in, bus := connected(t)
	random := rand.NewChaCha8([32]byte{1})
	sent := make([]byte, 8<<20)
	random.Read(sent)
	go func() {
		defer bus.Close()
		for rest := sent; len(rest) > 0; {
			n := min(1+rand.N(100_000), len(rest))
			if _, err := bus.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	}()
	type piece struct {
		at     int
		body   []byte
		buffer *Buffer
	}
	var kept []piece
	at := 0
	release := func(i int) {
		p := kept[i]
		if !bytes.Equal(p.body, sent[p.at:p.at+len(p.body)]) {
			t.Fatalf("what was taken at %d is not what was sent", p.at)
		}
		p.buffer.Release()
		kept = slices.Delete(kept, i, i+1)
	}
	for ways := rand.New(random); ; {
		n := 1 + ways.IntN(3000)
		if ways.IntN(50) == 0 {
			n = 1 + ways.IntN(3*readBuffer) // more than is read at once
		}
		if n > len(sent)-at {
			break
		}
		switch ways.IntN(4) {
		case 0:
			b, err := in.peek(n)
			if err != nil || !bytes.Equal(b, sent[at:at+n]) {
				t.Fatalf("peeked at %d bytes at %d: %v", n, at, err)
			}
		case 1:
			b, buffer, err := in.take(n)
			if err != nil || len(b) != n {
				t.Fatalf("took %d of %d bytes at %d: %v", len(b), n, at, err)
			}
			kept = append(kept, piece{at, b, buffer})
			at += n
			for len(kept) > 0 && ways.IntN(20) > 0 { // now and then, many are kept
				release(ways.IntN(len(kept)))
			}
		case 2:
			if err := in.skip(n); err != nil {
				t.Fatal(err)
			}
			at += n
		default:
			b := make([]byte, n)
			n, err := in.Read(b)
			if err != nil || !bytes.Equal(b[:n], sent[at:at+n]) {
				t.Fatalf("read %d bytes at %d: %v", n, at, err)
			}
			at += n
		}
	}
	for len(kept) > 0 {
		release(0)
	}
	if _, _, err := in.take(len(sent) - at + 1); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
}

// A large message does not keep the buffer of its size for those that follow.
func TestInletGivesALargeBufferBack(t *testing.T) {
	in, bus := connected(t)
	go func() { bus.Write(make([]byte, 4<<20+1)) }()
	if _, _, err := in.take(4 << 20); err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.take(1); err != nil {
		t.Fatal(err)
	}
	if len(in.buf) > readBuffer {
		t.Errorf("the buffer has %d bytes", len(in.buf))
	}
}

// Buffers are used again if whoever took something releases it, however much is read.
func TestInletUsesBuffersAgain(t *testing.T) {
	in, bus := connected(t)
	const messages, size = 1000, 4 << 10
	go func() { bus.Write(make([]byte, messages*size)) }()
	used := map[*Buffer]bool{}
	for range messages {
		_, buffer, err := in.take(size)
		if err != nil {
			t.Fatal(err)
		}
		used[buffer] = true
		buffer.Release()
	}
	// The pool may lose a buffer now and then, with the race detector a quarter of them.
	if most := messages * size / readBuffer / 2; len(used) > most {
		t.Errorf("it used %d buffers, want at most %d", len(used), most)
	}
}
