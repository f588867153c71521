package ask

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/feed"
)

// A status has all that the monitor has told of itself.
func TestToldMonitor(t *testing.T) {
	path := t.TempDir() + "/state.json"
	told := NewTold(path)
	about := feed.Monitor{Version: "1", State: path, Troubles: []string{"bus lost"}, Counters: &feed.Counters{Received: 7}}
	if !told.Take(feed.Message{Monitor: &about}) {
		t.Fatal("it is the monitor of that state file")
	}
	s, err := told.Status(func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(about, s.Monitor); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
