package feed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A listener that does not read is disconnected. It costs the others nothing.
func TestSlow(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	stuck := b.dial()
	const units = 500
	long := strings.Repeat("x", 200)
	for round := uint64(1); !left(t, stuck); round++ {
		for i := range units {
			b.tell(classify.Crashed, tally(fmt.Sprintf("%s-%d.service", long, i), round))
		}
	}
	if all := b.listen(func(_ map[string]*count.Tally, m Message) bool { return m.Complete }); len(all) != units {
		t.Errorf("%d units", len(all))
	}
}

// left reports whether the other end of a connection is closed. It reads nothing.
func left(t *testing.T, conn net.Conn) (closed bool) {
	t.Helper()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
			if n, err := unix.Poll(fds, 0); err == nil && n == 1 {
				closed = true
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// The bytes that wait for a listener are bounded. Only if nothing waits, a text may have any size.
func TestBehind(t *testing.T) {
	for _, tt := range []struct {
		texts []int // the length of each
		want  []bool
	}{
		{[]int{behind / 2, behind / 2, 1}, []bool{true, true, false}},
		{[]int{3 * behind, 1}, []bool{true, false}},
		{[]int{1, 3 * behind}, []bool{true, false}},
	} {
		c := &client{out: make(chan []byte, 16)}
		var got []bool
		for _, n := range tt.texts {
			got = append(got, c.offer(make([]byte, n)))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d: %v, want %v", tt.texts, got, tt.want)
		}
	}
}

// A listener that writes something is disconnected. There are only so many listeners.
func TestRude(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"), tally("a.service", 1))
	rude := b.dial()
	if _, err := rude.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, rude); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	for range most + 9 {
		b.dial()
	}
	one := b.dial() // the feed has too many, and ends the stream at once
	if n, _ := io.Copy(io.Discard, one); n > 0 {
		t.Errorf("%d bytes", n)
	}
}
