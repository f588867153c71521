package publish

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/chronicle/store"
)

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
