package publish

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/stages/chronicle/store"
)

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
