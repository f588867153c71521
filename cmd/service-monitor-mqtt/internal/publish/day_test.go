package publish

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/chronicle/store"
)

// TestDayOffline has 20,000 events in a day without a broker. Then the connection is lost again and again, and the
// program is started again. All of them arrive, in order.
func TestDayOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 20_000
		r := rand.New(rand.NewPCG(1, 2))
		w := newWorld(t, 4<<20)
		set := func(refuses error, fails int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refuses, w.fails = refuses, fails
		}
		set(errAway, -1)
		w.run()
		synctest.Wait() // it asks how all is
		loop := slices.Repeat([]store.Kind{store.Start, store.Crash}, 10)
		for i := range events / len(loop) {
			unit := fmt.Sprintf("%d.service", i%12)
			w.happen(unit, loop...)
			w.tell(unit)
			time.Sleep(24 * time.Hour / time.Duration(events/len(loop)))
		}
		connected := time.Now()
		for range 12 {
			set(nil, r.IntN(2000))
			time.Sleep(time.Duration(1+r.IntN(4)) * time.Minute)
			if r.IntN(3) == 0 {
				w.end()
				w.run()
			}
		}
		set(nil, -1)
		time.Sleep(time.Hour)
		w.end()
		var first, last uint64
		repeats := 0
		for _, text := range w.published("/event") {
			var e struct{ Seq uint64 }
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatal(err)
			}
			switch {
			case last == 0:
				first, last = e.Seq, e.Seq
			case e.Seq == last+1:
				last++
			case e.Seq <= last:
				repeats++
			default:
				t.Fatalf("after event %d comes %d: %s", last, e.Seq, text)
			}
		}
		t.Logf("%d events, %d repeats, %d connections", last-first+1, repeats, len(w.wills))
		want(t, "the last event", w.seq, last)
		want(t, "events", events, int(last-first+1))
		if len(w.wills) < 5 || w.times[0].Before(connected) {
			t.Errorf("%d connections, the first message at %v, the broker came at %v", len(w.wills), w.times[0], connected)
		}
	})
}
