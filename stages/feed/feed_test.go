package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A bench is a feed under test. It has real sockets, so its tests wait for what happens.
type bench struct {
	t      *testing.T
	socket string
	events chan count.Event
	ready  *pipelinetest.Notifier
	log    *strings.Builder
	ended  chan error
}

func start(t *testing.T, socket string, known ...*count.Tally) *bench {
	t.Helper()
	b := &bench{t: t, socket: socket, events: make(chan count.Event), log: &strings.Builder{}, ended: make(chan error, 1)}
	log := logrus.New()
	log.SetOutput(b.log)
	units := map[string]*count.Tally{}
	for _, tally := range known {
		units[tally.Unit] = tally
	}
	b.ready = pipelinetest.NewNotifier(0)
	g := pipeline.New(b.ready)
	events := pipeline.Source(g, "world", pipelinetest.Feed(b.events))
	newest := pipeline.Latest(g, events, func(e count.Event) string { return e.Unit })
	pipeline.Sink(g, "feed", newest, New(log, socket, Monitor{Version: "1", State: "/s"}, units))
	stop, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { b.ended <- g.Run(stop) }()
	t.Cleanup(func() { cancel(); <-b.ended })
	return b
}

// tally returns a tally with so many crashes.
func tally(unit string, crashes uint64) *count.Tally {
	return &count.Tally{
		Unit: unit, State: "failed", Changed: time.Unix(5, 0), Starts: crashes, Crashes: crashes,
		LastCrash: &count.Crash{Time: time.Unix(4, 0), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "5b1f"},
		Life:      &classify.Life{ActiveState: "failed", SubState: "failed", GivenUp: true},
	}
}

func (b *bench) tell(k classify.Kind, t *count.Tally) {
	b.events <- count.Event{Transition: classify.Transition{Kind: k, Unit: t.Unit, Life: t.Life}, Tally: t}
}

// dial connects once the feed is ready.
func (b *bench) dial() net.Conn {
	b.t.Helper()
	b.ready.Await("READY=1")
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// listen listens until done returns true, and returns the units as they were then.
func (b *bench) listen(done func(units map[string]*count.Tally, m Message) bool) map[string]*count.Tally {
	b.t.Helper()
	b.ready.Await("READY=1")
	units := map[string]*count.Tally{}
	err := Listen(b.t.Context(), b.socket, func(m Message) bool {
		if m.Unit != nil {
			units[m.Unit.Name] = m.Unit.Tally()
		}
		delete(units, m.Gone)
		return !done(units, m)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return units
}

func TestFeed(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"), tally("a.service", 1), tally("b.service", 2))
	all := b.listen(func(_ map[string]*count.Tally, m Message) bool {
		if m.Monitor != nil && m.Monitor.State != "/s" {
			t.Errorf("%+v", m.Monitor)
		}
		return m.Complete
	})
	want := map[string]*count.Tally{"a.service": tally("a.service", 1), "b.service": tally("b.service", 2)}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(b.socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// What changes is told to whoever listens, and so is what goes.
	step := 0
	b.listen(func(units map[string]*count.Tally, m Message) bool {
		switch {
		case m.Complete:
			b.tell(classify.Crashed, tally("a.service", 2))
		case m.Unit != nil && m.Unit.Name == "a.service" && m.Unit.Crashes == 2 && step == 0:
			step = 1
			b.tell(classify.Forgotten, tally("b.service", 2))
		case m.Gone == "b.service":
			return len(units) == 1
		}
		return false
	})
}

// Whoever does not read is left, and costs nobody else anything.
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

// Nothing is read from those who listen, and there are only so many of them.
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

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	b := start(t, left, tally("a.service", 1))
	if all := b.listen(func(_ map[string]*count.Tally, m Message) bool { return m.Complete }); len(all) != 1 {
		t.Errorf("%v", all)
	}
	if l, err := bind(left); err == nil {
		l.Close()
		t.Error("two monitors listen on one socket")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := bind(file); err == nil {
		l.Close()
		t.Error("a file was replaced")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
}
