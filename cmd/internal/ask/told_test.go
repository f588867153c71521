package ask

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/feed"
)

// What a monitor has saved is behind what it has told if it was killed, or could not save its last, and not if
// it was stopped.
func TestBehind(t *testing.T) {
	path := t.TempDir() + "/state.json"
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, last := range []store.Record{{To: store.Started}, {To: store.Stopped}, {To: store.Stopped, Flags: store.Untold}, {To: store.Started}} {
		last.Kind, last.Time = store.Monitor, time.Now()
		d, _, err := store.Open(chronicle.Beside(path), 1<<20, func(*store.Record) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Append([]store.Record{last}); err != nil {
			t.Fatal(err)
		}
		d.Close()
		s, err := Saved(path, func(string) bool { return true }, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if s.Behind != (last.To == store.Started || last.Flags != 0) {
			t.Errorf("%+v: behind %v", last, s.Behind)
		}
	}
	told := NewTold(path)
	for _, catching := range []bool{true, false} {
		told.Take(feed.Message{Monitor: &feed.Monitor{State: path, CatchingUp: catching}})
		if s := told.Status(func(string) bool { return true }); s.Behind != catching {
			t.Errorf("catching up %v: %+v", catching, s)
		}
	}
}

// A status has all that the monitor has told of itself.
func TestToldMonitor(t *testing.T) {
	path := t.TempDir() + "/state.json"
	told := NewTold(path)
	about := feed.Monitor{Version: "1", State: path, Troubles: []string{"bus lost"}, Counters: &feed.Counters{Received: 7}}
	if !told.Take(feed.Message{Monitor: &about}) {
		t.Fatal("it is the monitor of that state file")
	}
	s := told.Status(func(string) bool { return true })
	if diff := cmp.Diff(about, s.Monitor); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
