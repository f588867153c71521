package publish

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
)

const size = 1 << 20

func want[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestInOrder wants how all is first, then what happened, and then what happens.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("", store.Monitor)
		w.happen("a.service", store.Seen, store.Start)
		w.run()
		want(t, "events", []string{"monitor", "a.service seen", "a.service start"}, w.told())
		topicsOf := func() (list []string) {
			for _, m := range w.sent {
				list = append(list, m.Topic)
			}
			return list
		}
		first := []string{"service-monitor/gw/status", "service-monitor/gw/a.service/state", "service-monitor/gw/event"}
		want(t, "topics", first, topicsOf()[:3])
		w.happen("a.service", store.Crash)
		w.tell("a.service")
		want(t, "events", []string{"a.service crash"}, w.told()[3:])
		if states := w.published("/state"); len(states) != 2 || !strings.Contains(states[1], `"crashes":1`) {
			t.Errorf("states: %q", states)
		}
		w.end()
		want(t, "cursor", w.seq, w.cursor.at.Seq)
		want(t, "counts", map[string]uint64{"a.service": 2}, w.cursor.at.Units)
		if last := w.published("/status"); !strings.Contains(last[len(last)-1], "offline") || !w.cursor.closed || w.farewell != 1 {
			t.Errorf("the end: %q, cursor closed: %v, connections closed: %d", last, w.cursor.closed, w.farewell)
		}
	})
}

// TestGoesOn stops the stage and runs another one: nothing is told twice, and nothing is missing.
func TestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start)
		w.run()
		w.end()
		w.happen("a.service", store.Crash, store.Restart)
		w.run()
		want(t, "events", []string{"a.service start", "a.service crash", "a.service restart"}, w.told())
		w.end()
	})
}

// TestPartlyAcknowledged loses the connection in the middle. What was acknowledged is not sent again.
func TestPartlyAcknowledged(t *testing.T) {
	for fails := range 7 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, size)
			w.happen("a.service", store.Start, store.Crash, store.Start, store.Stop, store.Start)
			w.fails = fails
			w.run()
			time.Sleep(time.Minute)
			want(t, fmt.Sprintf("events after a loss at %d", fails),
				[]string{"a.service start", "a.service crash", "a.service start", "a.service stop", "a.service start"}, w.told())
			want(t, "connections", 2, len(w.wills))
			w.end()
		})
	}
}
