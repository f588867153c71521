package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A bench is a feed under test. Its sockets are real, so its tests run in real time and wait for
// what happens.
type bench struct {
	t      *testing.T
	socket string
	events chan count.Event
	stored chan store.Record // what the chronicle has written
	ready  *pipelinetest.Notifier
	log    *strings.Builder
	ended  chan error
	stop   func() // stops the feed, and returns when it has ended
	stage  *Stage
}

func start(t *testing.T, socket string, known ...*count.Tally) *bench {
	t.Helper()
	return startWith(t, socket, Backlog, known...)
}

// startWith starts a feed that is cut off if more than so many records wait for it.
func startWith(t *testing.T, socket string, backlog int, known ...*count.Tally) *bench {
	t.Helper()
	return startAs(t, socket, Monitor{Version: "1", State: "/s"}, backlog, known...)
}

// startAs starts the feed of a monitor.
func startAs(t *testing.T, socket string, monitor Monitor, backlog int, known ...*count.Tally) *bench {
	t.Helper()
	b := &bench{t: t, socket: socket, events: make(chan count.Event), stored: make(chan store.Record), log: &strings.Builder{}, ended: make(chan error, 1)}
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
	records := pipeline.Beside(pipeline.Cut(pipeline.Source(g, "chronicle", pipelinetest.Feed(b.stored)), backlog, func(int) {}))
	b.stage = New(log, socket, monitor, units, records, encode)
	joined := uint64(0)
	b.stage.Count(func() *Counters { joined++; return &Counters{Received: joined} })
	pipeline.Sink(g, "feed", newest, b.stage)
	stop, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { b.ended <- g.Run(stop) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-b.ended })
	t.Cleanup(b.stop)
	return b
}

// encode writes a record as two objects.
func encode(w io.Writer, r *store.Record) error {
	_, err := fmt.Fprintf(w, `{"seq":%d,"kind":"crash"}`+"\n"+`{"seq":%[1]d,"kind":"start"}`+"\n", r.Seq)
	return err
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

// dial connects when the feed is ready.
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

// listen listens until done returns true. It returns the units as they were then.
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
	// A listener is told which units change, and which are gone.
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

// A listener is told what is wrong with the monitor, at first and when that changes.
func TestTroubles(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	var told []string
	b.listen(func(_ map[string]*count.Tally, m Message) bool {
		if m.Monitor != nil {
			told = append(told, fmt.Sprint(m.Monitor.Troubles, m.Monitor.Troubles == nil))
		}
		switch {
		case m.Complete:
			b.stage.Troubles([]string{"cannot save state", "bus lost"})
		case len(told) == 2 && m.Monitor != nil:
			b.stage.Troubles(nil)
		}
		return len(told) == 3
	})
	if want := []string{"[] false", "[cannot save state bus lost] false", "[] false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// A listener is told that the monitor has caught up after the units that have changed until then.
func TestCaughtUp(t *testing.T) {
	b := startAs(t, filepath.Join(t.TempDir(), "feed"), Monitor{CatchingUp: true}, Backlog, tally("a.service", 1))
	crashes := func(t *count.Tally) uint64 {
		if t == nil {
			return 0
		}
		return t.Crashes
	}
	var told []string
	b.listen(func(units map[string]*count.Tally, m Message) bool {
		switch {
		case m.Monitor != nil:
			told = append(told, fmt.Sprint(m.Monitor.CatchingUp, " ", crashes(units["a.service"])))
		case m.Complete:
			b.tell(classify.Crashed, tally("a.service", 2))
			b.stage.CaughtUp()
			b.stage.CaughtUp() // as after a reload
		}
		return len(told) == 2
	})
	if want := []string{"true 0", "false 2"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// The feed lasts until all is saved, although there are no more events. Whoever listens reads what was saved when
// the stream ends.
func TestOutlast(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "feed")
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := New(log, socket, Monitor{Version: "1"}, map[string]*count.Tally{"a.service": tally("a.service", 1)}, &pipeline.Second[store.Record]{}, encode)
	saved, ended := make(chan struct{}), make(chan error, 1)
	s.Outlast(saved)
	runs, end := context.WithCancel(t.Context())
	go func() { defer end(); ended <- s.Run(t.Context(), &port{}) }()
	told := false
	away := func(err error) error {
		select {
		case <-saved:
			return err
		default:
			return nil // it does not listen yet
		}
	}
	_ = Follow(runs, socket, func(m Message) bool {
		if told = told || m.Complete; m.Complete {
			close(saved)
		}
		return true
	}, away)
	if err := <-ended; err != nil || !told {
		t.Errorf("%v; told: %v", err, told)
	}
}

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

// hear adds a listener, and returns when it was told all that was known. The channel delivers the
// number of each record that the listener hears of. It is closed at the end of the stream.
func (b *bench) hear() <-chan uint64 {
	b.t.Helper()
	b.ready.Await("READY=1")
	heard, complete := make(chan uint64), make(chan struct{})
	go func() {
		defer close(heard)
		err := Listen(b.t.Context(), b.socket, func(m Message) bool {
			if m.Complete {
				close(complete)
			}
			var e struct {
				Seq  uint64
				Kind string
			}
			if m.Event != nil && json.Unmarshal(m.Event, &e) == nil && e.Kind == "start" {
				select {
				case heard <- e.Seq:
				case <-b.t.Context().Done():
				}
			}
			return true
		})
		if err != nil {
			b.t.Error(err)
		}
	}()
	<-complete
	return heard
}

// All listeners are told each record once and in order, also the last one. A listener that comes
// later is not told what was before: that is in the chronicle.
func TestEvents(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"), tally("a.service", 1))
	first := b.hear()
	b.stored <- store.Record{Seq: 7}
	if seq := <-first; seq != 7 {
		t.Errorf("record %d", seq)
	}
	second := b.hear()
	for seq := uint64(8); seq < 200; seq++ {
		b.stored <- store.Record{Seq: seq}
	}
	for want := uint64(8); want < 200; want++ {
		if one, other := <-first, <-second; one != want || other != want {
			t.Fatalf("records %d and %d, want %d", one, other, want)
		}
	}
	b.stored <- store.Record{Seq: 200}
	b.stop()
	for _, heard := range []<-chan uint64{first, second} {
		if seq, more := <-heard; seq != 200 {
			t.Errorf("record %d, %v", seq, more)
		}
		if seq, more := <-heard; more {
			t.Errorf("record %d", seq)
		}
	}
}

// A listener that does not read events is disconnected. Another one hears each of them.
func TestSlowAmongOthers(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	stuck, heard := b.dial(), b.hear()
	const together = 1000 // too many to wait for the pause
	for seq := uint64(1); !left(t, stuck); {
		for n := range uint64(together) {
			b.stored <- store.Record{Seq: seq + n}
		}
		for range together {
			if got, more := <-heard; got != seq {
				t.Fatalf("record %d, %v, want %d", got, more, seq)
			}
			seq++
		}
	}
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

// If the feed itself was too slow, it ends all streams. Then listeners can come again.
func TestCutOff(t *testing.T) {
	b := startWith(t, filepath.Join(t.TempDir(), "feed"), 0)
	heard := b.hear()
	b.stored <- store.Record{Seq: 1}
	if seq, more := <-heard; more {
		t.Errorf("record %d", seq)
	}
	b.hear()
}

// A listener waits for a monitor that is not there yet, and for the next one when the monitor has
// ended. It is told each time that it begins to wait.
func TestFollow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "monitor") // as the unit makes and removes it
	socket := filepath.Join(dir, "feed")
	ctx, cancel := context.WithCancel(t.Context())
	away, complete, ended := make(chan error), make(chan bool), make(chan error, 1)
	go func() {
		ended <- Follow(ctx, socket, func(m Message) bool {
			if m.Complete {
				complete <- true
			}
			return true
		}, func(reason error) error { away <- reason; return nil })
	}()
	for range 3 {
		if reason := <-away; !errors.Is(reason, fs.ErrNotExist) {
			t.Error(reason)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b := start(t, socket)
		<-complete
		b.stop()
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
	}
	<-away
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A listener for which there is no room gets an error. It does not try for ever.
func TestFull(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	for range most {
		b.dial()
	}
	never := func(Message) bool { t.Error("a message"); return true }
	if err := Follow(t.Context(), b.socket, never, func(reason error) error { return reason }); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

// If the stream ends within a line, that part is no message and no error. Whatever is no feed is an
// error.
func TestPartOfALine(t *testing.T) {
	for text, bad := range map[string]bool{"{\"complete\":true}\n{\"eve": false, "220 smtp\n": true} {
		here, there := net.Pipe()
		go func() {
			_, _ = io.WriteString(there, text)
			there.Close()
		}()
		messages := 0
		err := hear(t.Context(), here, func(Message) bool { messages++; return true })
		if (err != nil) != bad || !bad && messages != 1 {
			t.Errorf("%q: %d messages, %v", text, messages, err)
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

// A unit from before there was a feed makes no directory for the socket. Without a unit, nobody needs
// to know.
func TestNoDirectory(t *testing.T) {
	if _, err := os.Stat(filepath.Dir(DefaultSocket)); err == nil {
		t.Skip("this machine has the directory of the default socket")
	}
	for _, tt := range []struct{ notify, want string }{
		{"", ""},
		{"/run/systemd/notify", "let the unit make it (RuntimeDirectory=service-monitor"},
	} {
		t.Setenv("NOTIFY_SOCKET", tt.notify)
		b := start(t, DefaultSocket)
		b.stop()
		if got := b.log.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("NOTIFY_SOCKET=%s: the log is %q, want %q", tt.notify, got, tt.want)
		}
	}
}

// TestLeftSocket wants the socket that a killed monitor has left to be replaced.
func TestLeftSocket(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
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
}
