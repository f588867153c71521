package publish

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/chronicle/store"
)

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
