package logsink

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer/journaltest"
)

// TestRunSummary wants a summary after a change, and none otherwise.
func TestRunSummary(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j, Summary: time.Minute})
		err := w.run(t, func() {
			w.events <- event(classify.Seen, "a.service", states("", "inactive", "dead"))
			time.Sleep(time.Hour)
			w.events <- started("a.service", 1)
			time.Sleep(59 * time.Second)
			w.events <- started("a.service", 2)
			time.Sleep(24 * time.Hour)
			w.events <- event(classify.Stopped, "a.service", counts(2, 1, 0, 0))
			time.Sleep(30 * time.Second)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[INFO] a.service:  first seen    -> inactive      (SubState: dead)\n",
			"[INFO] a.service:  Incrementing start counter -> 1\n", "[INFO] a.service:  Incrementing start counter -> 2\n",
			"[INFO] summary of the last 60 s: 2 starts\n", "[INFO] a.service:  Incrementing stop counter -> 1\n")
	})
	want := map[string]string{
		"MESSAGE": "summary of the last 60 s: 2 starts", "PRIORITY": "6", "MESSAGE_ID": "89829bf77f324bf68076edaca0968f38", "SYSLOG_IDENTIFIER": "service-monitor",
	}
	if got := d.Read(); len(got) != 5 || !cmp.Equal(want, got[3]) {
		t.Errorf("journal: %q", got)
	}
}

func TestRunNoSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{})
		err := w.run(t, func() {
			w.events <- started("a.service", 1)
			time.Sleep(time.Hour)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[INFO] a.service:  Incrementing start counter -> 1\n")
	})
}

func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []count.Event
		want   string // empty if there is no summary
	}{
		{"nothing", nil, ""},
		{"nothing that counts", []count.Event{
			event(classify.Seen, "a", states("", "active", "running")), event(classify.GaveUp, "a"), event(classify.Forgotten, "a"),
			event(classify.Moved, "a", states("active", "active", "reload")),
		}, ""},
		{"one of each", []count.Event{
			event(classify.Moved, "a", states("active", "failed", "failed")), event(classify.Crashed, "a"), event(classify.Restarted, "a"),
			event(classify.Started, "a"), event(classify.Stopped, "b"),
		}, "summary of the last 60 s: 1 start, 1 stop, 1 crash, 1 automatic restart, 1 state change"},
		{"several", []count.Event{
			event(classify.Crashed, "a"), event(classify.Crashed, "a"), event(classify.Started, "a"), event(classify.Started, "b"), event(classify.Started, "c"),
		}, "summary of the last 60 s: 3 starts, 2 crashes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s summary
			for range 2 { // the second summary does not count the first events
				begun := 0
				for _, e := range tt.events {
					if s.add(&e) {
						begun++
					}
				}
				if tt.want == "" {
					if begun > 0 {
						t.Error("a summary was begun")
					}
					continue
				}
				if got := s.take(time.Minute); got != tt.want || begun != 1 {
					t.Errorf("summary, begun %d times (-want +got):\n-%s\n+%s", begun, tt.want, got)
				}
			}
		})
	}
}
