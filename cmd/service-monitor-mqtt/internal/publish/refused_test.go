package publish

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/cmd/internal/view"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/journald/records"
)

// box lets a unit crash, and keeps its last words.
func (w *world) box(unit string) {
	w.t.Helper()
	r := store.Record{Kind: store.Crash, Time: time.Now(), Boot: records.Boot(), Monotonic: 1, Unit: unit, Delta: store.Single(store.Crash, 0), Invocation: [16]byte{1}}
	w.after[unit] = w.after[unit].Plus(r.Delta)
	r.After, w.units[unit] = w.after[unit], sum(w.after[unit])
	if _, err := w.store.Append([]store.Record{r}); err != nil {
		w.t.Fatal(err)
	}
	dir := blackbox.Beside(w.dir)
	text, err := json.Marshal([]blackbox.Box{{Unit: unit, Invocation: "01000000000000000000000000000000", Time: time.Now(), Lines: []records.Line{{Text: "my password is"}}}})
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, unit), text, 0o640)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func withCrashes(o *Options) { o.Crashes = true }

// TestBoxes publishes the last words of crashes, but not those of a unit that is left out.
func TestBoxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.box("a.service")
		w.box("secret.service")
		w.run(withCrashes, func(o *Options) { o.LeftOut = func(unit string) bool { return unit == "secret.service" } })
		time.Sleep(time.Hour)
		want(t, "boxes", 1, len(w.published("/a.service/crash")))
		for _, m := range w.sent {
			if strings.Contains(m.Topic+string(m.Payload), "secret") {
				t.Errorf("%s: %s", m.Topic, m.Payload)
			}
		}
		w.end()
	})
}

// TestUnreadableBox says that the last words cannot be read.
func TestUnreadableBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.box("a.service")
		file := filepath.Join(blackbox.Beside(w.dir), "a.service")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(file, 0o750); err != nil {
			t.Fatal(err)
		}
		w.run(withCrashes)
		time.Sleep(time.Hour)
		want(t, "events", []string{"a.service crash"}, w.told())
		if n := strings.Count(w.log.String(), "cannot read the last words of a crash"); n != 1 {
			t.Errorf("it is said %d times:\n%s", n, w.log.String())
		}
		w.end()
	})
}

// TestRefused has the broker refuse topics. States and last words hold up nothing. Events wait, because none may be
// lost. When the broker takes the topic again, all of it comes.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		forbids string
		waits   bool // events do not come meanwhile
	}{{"/a.service/state", false}, {"/status", false}, {"/a.service/crash", false}, {"/event", true}} {
		t.Run(tt.forbids, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, size)
				w.forbids = tt.forbids
				w.box("a.service")
				w.happen("b.service", store.Start)
				w.run(withCrashes)
				time.Sleep(10 * time.Minute)
				w.happen("b.service", store.Restart)
				w.tell("b.service")
				time.Sleep(10 * time.Minute)
				events := []string{"a.service crash", "b.service start", "b.service restart"}
				if told := w.told(); slices.Equal(told, events) == tt.waits {
					t.Errorf("told: %q", told)
				}
				want(t, "states of b.service", 2, len(w.published("/b.service/state")))
				if n := strings.Count(w.log.String(), "level=error"); n != 1 || !strings.Contains(w.log.String(), tt.forbids) {
					t.Errorf("%d errors are logged:\n%s", n, w.log.String())
				}
				want(t, "connections", 1, w.connects())
				w.mu.Lock()
				w.forbids = ""
				w.mu.Unlock()
				time.Sleep(2 * time.Hour)
				want(t, "events", events, w.told())
				if tt.forbids != "/a.service/crash" && len(w.published(tt.forbids)) == 0 {
					t.Errorf("nothing of %s came later", tt.forbids)
				}
				w.end()
			})
		})
	}
}

// TestTooSlow has a link that is too slow for last words: the connection is lost with them. Events go on.
func TestTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.breaks = "/crash"
		w.box("a.service")
		w.run(withCrashes)
		time.Sleep(time.Minute)
		w.happen("b.service", store.Start)
		w.tell("b.service")
		time.Sleep(time.Hour)
		want(t, "events", []string{"a.service crash", "b.service start"}, w.told())
		want(t, "connections", 1+tries, w.connects())
		w.end()
	})
}

// TestMonitorChanges changes how the monitor is while that is on its way to the broker.
func TestMonitorChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.hold = make(chan struct{})
		w.run()
		synctest.Wait()
		w.events <- view.Event{Kind: view.Monitor, Data: []byte(`{"running":true,"troubles":["no room"]}`)}
		synctest.Wait()
		close(w.hold)
		if all := w.published("/status"); len(all) != 2 || !strings.Contains(all[1], "no room") {
			t.Errorf("statuses: %q", all)
		}
		w.end()
	})
}

// TestFlappingWrites has a broker that takes each connection, and ends it at the first message.
func TestFlappingWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start)
		w.fails = 0
		w.run()
		for end := time.Now().Add(time.Hour); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			w.mu.Lock()
			w.fails = 0
			w.mu.Unlock()
		}
		if n := w.connects(); n > 25 {
			t.Errorf("%d connections in an hour", n)
		}
		if n := strings.Count(w.log.String(), "\n"); n != 1 {
			t.Errorf("it logs:\n%s", w.log.String())
		}
		w.mu.Lock()
		w.fails = -1
		w.mu.Unlock()
		time.Sleep(2 * lastRetry)
		want(t, "events", []string{"a.service start"}, w.told())
		if n := strings.Count(w.log.String(), "can be used again"); n != 1 {
			t.Errorf("it logs:\n%s", w.log.String())
		}
		w.end()
	})
}

// TestSlowView has the view take a while. Until then there is nothing to do: if the stage did not wait, the time of
// this test would not go on.
func TestSlowView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		w.happen("a.service", store.Start, store.Stop, store.Start)
		w.asked = time.Minute
		w.run()
		time.Sleep(2 * time.Minute)
		want(t, "events", 3, len(w.told()))
		w.end()
	})
}

// TestWaits says in the status that the broker is lost, and until when it waits.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		var s *Stage
		w.run(func(o *Options) { s = New(*o) })
		s.notBefore = time.Now().Add(time.Minute)
		if status := s.answer().Status; !strings.HasPrefix(status, "has lost the broker, and connects again at ") {
			t.Error(status)
		}
		w.end()
	})
}
