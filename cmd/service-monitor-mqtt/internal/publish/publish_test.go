package publish

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
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

// TestLost has the history make room for others before they were published. That is said, with numbers.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.Smallest)
		w.happen("a.service", store.Start)
		w.happen("quiet.service", store.Start)
		w.run()
		synctest.Wait()
		w.end()
		w.happen("b.service", slices.Repeat([]store.Kind{store.Start}, 3000)...)
		w.happen("a.service", slices.Repeat([]store.Kind{store.Crash}, 6000)...)
		w.happen("quiet.service", store.Stop)
		first := uint64(0)
		var left int
		if _, err := store.Read(w.dir, func(r *store.Record) bool {
			if first == 0 {
				first = r.Seq
			}
			left++
			return true
		}); err != nil || first <= w.cursor.at.Seq {
			t.Fatalf("nothing is lost: %v", err)
		}
		w.sent = nil
		w.run()
		time.Sleep(time.Hour)
		told := w.told()
		crashes := 0
		for _, e := range told {
			if e == "a.service crash" {
				crashes++
			}
		}
		lost := fmt.Sprintf("lost at least %d events of 1 unit lost, counters are right", 6000-crashes)
		if !slices.Contains(told, lost) || len(told) != left+1 || told[0] != lost {
			t.Errorf("%d records left, %d told, the first: %q, want %q", left, len(told), told[0], lost)
		}
		w.end()
		w.sent = nil
		w.run() // it is said once
		want(t, "events of another run", nil, w.told())
		w.end()
	})
}

// TestRate drains a backlog at a bounded rate, and how a unit is comes before that.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", slices.Repeat([]store.Kind{store.Start, store.Stop}, 500)...)
		w.run()
		time.Sleep(time.Second)
		if n := len(w.told()); n < 50 || n > 61 {
			t.Errorf("%d events in the first second, want some 60", n)
		}
		w.happen("b.service", store.Start)
		w.tell("b.service")
		if states := w.published("/b.service/state"); len(states) != 1 {
			t.Errorf("the state of b.service waits behind the backlog: %q", states)
		}
		time.Sleep(20 * time.Second)
		told := w.told()
		want(t, "number of events", 1001, len(told))
		want(t, "the last event", "b.service start", told[1000])
		w.end()
	})
}

// TestAgain wants everything that is retained to be published once more after each connect, and when a consumer
// has come.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start)
		w.happen("b.service", store.Start)
		w.run()
		want(t, "states", 2, len(w.published("/state")))
		w.lose()
		time.Sleep(time.Minute)
		want(t, "states after a connect", 4, len(w.published("/state")))
		w.heard(topics.Message{Payload: []byte("offline")})
		w.heard(topics.Message{Payload: []byte("online")})
		w.heard(topics.Message{Payload: []byte("online")})
		time.Sleep(spread)
		want(t, "states after a will and two births", 6, len(w.published("/state")))
		w.heard(topics.Message{Payload: []byte("offline")})
		time.Sleep(time.Minute)
		want(t, "states after a will", 6, len(w.published("/state")))
		want(t, "statuses", 3, len(w.published("/status")))
		w.end()
	})
}

// TestGone clears what is retained of a unit that is no longer monitored, also if nobody published then.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		for _, unit := range []string{"a.service", "b.service", "c.service"} {
			w.happen(unit, store.Start)
		}
		w.run()
		synctest.Wait()
		w.events <- view.Event{Kind: view.Gone, Data: view.Quoted("a.service")}
		want(t, "states of a.service", "", w.published("/a.service/state")[1])
		w.end()
		delete(w.units, "a.service")
		delete(w.units, "b.service")
		w.run()
		want(t, "states of b.service", []string{""}, w.published("/b.service/state")[1:])
		w.end()
		want(t, "units", map[string]uint64{"c.service": 1}, w.cursor.at.Units)
	})
}

// reconfigured returns a world in which the stage has run, and now runs with other options. What it sent before
// does not count.
func reconfigured(t *testing.T, other topics.Options) *world {
	t.Helper()
	w := newWorld(t, size)
	w.happen("a.service", store.Start)
	w.run()
	w.end()
	w.sent = nil
	w.run(func(o *Options) {
		o.Scheme, _ = topics.New("plain", other)
		o.Under = Under("plain", other)
	})
	return w
}

// TestUnder clears what an earlier configuration has left at the broker.
func TestUnder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := reconfigured(t, topics.Options{Gateway: "new"})
		for _, topic := range []string{"service-monitor/gw/a.service/state", "service-monitor/gw/status"} {
			want(t, topic, []string{""}, w.published(topic))
		}
		want(t, "states under the new name", 1, len(w.published("/new/a.service/state")))
		w.end()
	})
}

// TestUnderTheSameTopics changes the configuration, and the new one has topics of the old one. They are cleared
// before it publishes.
func TestUnderTheSameTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := reconfigured(t, topics.Options{Gateway: "gw", DiscoveryPrefix: "another"})
		for _, topic := range []string{"/gw/status", "/gw/a.service/state"} {
			if all := w.published(topic); len(all) == 0 || all[len(all)-1] == "" {
				t.Errorf("%s: %q", topic, all)
			}
		}
		w.end()
	})
}

// TestBehind has the monitor killed before it has saved what it has told. No counter goes down meanwhile.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start, store.Crash, store.Start, store.Crash)
		w.run()
		want(t, "states", 1, len(w.published("/state")))
		told := w.after["a.service"]
		monitor := func(behind bool) {
			w.events <- view.Event{Kind: view.Monitor, Data: fmt.Appendf(nil, `{"running":true,"behind":%v}`, behind)}
		}
		monitor(true)
		w.after["a.service"] = store.Counts{Starts: 1}
		w.events <- w.unit("a.service")
		want(t, "states of a monitor that is behind", 1, len(w.published("/state")))
		w.after["a.service"] = told.Plus(store.Counts{Crashes: 1})
		w.events <- w.unit("a.service")
		want(t, "states when it has counted more", 2, len(w.published("/state")))
		w.after["a.service"] = store.Counts{Starts: 1}
		w.events <- w.unit("a.service")
		monitor(false) // the counts were cleared
		want(t, "states of a monitor that is not behind", 3, len(w.published("/state")))
		w.end()
	})
}

// TestComesBack loses a connection that has lasted. The next one follows soon, but not always after the same time.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.run()
		waits := map[time.Duration]bool{}
		for range 10 {
			time.Sleep(2 * time.Minute)
			w.lose()
			lost := time.Now()
			time.Sleep(10 * time.Second)
			wait := w.dials[w.connects()-1].Sub(lost)
			if waits[wait] = true; wait < firstRetry/2 || wait > 2*firstRetry {
				t.Errorf("it comes back after %v", wait)
			}
		}
		if len(waits) < 5 {
			t.Errorf("it always comes back after the same time: %v", waits)
		}
		w.end()
	})
}

// TestBackOff connects less and less often while the broker is away, and logs the same reason once.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start)
		w.refuses = errAway
		w.run()
		time.Sleep(24 * time.Hour)
		if n := w.connects(); n < 280 || n > 600 { // every 2.5 to 5 minutes
			t.Errorf("%d attempts in a day", n)
		}
		if n := strings.Count(w.log.String(), errAway.Error()); n != 1 {
			t.Errorf("the reason is logged %d times:\n%s", n, w.log.String())
		}
		w.mu.Lock()
		w.refuses = nil
		w.mu.Unlock()
		time.Sleep(lastRetry)
		want(t, "events", []string{"a.service start"}, w.told())
		if !strings.Contains(w.log.String(), "the broker can be used again") {
			t.Error(w.log.String())
		}
		w.end()
	})
}

// TestFlapping loses each connection after a second. The next one comes later and later.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start)
		w.run()
		for range 100 {
			time.Sleep(time.Second)
			w.lose()
		}
		time.Sleep(time.Hour - 100*time.Second)
		if n := w.connects(); n > 12 {
			t.Errorf("%d connections in an hour", n)
		}
		w.end()
	})
}

// TestHangs stops the stage while the broker does not acknowledge. The stop takes no longer than it may.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start)
		w.hangs = true
		w.run()
		time.Sleep(time.Minute)
		began := time.Now()
		w.end()
		if took := time.Since(began); took > 2*farewell {
			t.Errorf("the stop took %v", took)
		}
		want(t, "cursor", 0, w.cursor.at.Seq)
	})
}

// TestAnotherHistory removes the history, and lets another one begin with lower numbers: the clock was wrong.
func TestAnotherHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		time.Sleep(48 * time.Hour)
		w.store.Close()
		w.open(size)
		w.happen("a.service", store.Start)
		w.run()
		synctest.Wait()
		w.end()
		w.store.Close()
		if err := store.Remove(w.dir); err != nil {
			t.Fatal(err)
		}
		w.cursor.at.Seq += 100 << 20 // as if its clock had been right, and that of the new one is not
		w.open(size)
		w.happen("a.service", store.Crash)
		w.run()
		want(t, "events", []string{"a.service start", "a.service crash"}, w.told())
		w.end()
		want(t, "cursor", w.seq, w.cursor.at.Seq)
	})
}
