package chronicle

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// TestStates wants a record of each state that is no start and no end, and of no other. If a unit reloads
// all the time, what is counted still has a record of its own.
func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		var want []string
		live(t, d, tallies, false, func(k *keeper) {
			move := func(from, to string) {
				k.send(count.Event{Transition: classify.Transition{Kind: classify.Moved, Unit: name, Time: time.Now(), From: from, To: to}})
			}
			k.tell(name, classify.Seen)
			for _, m := range []struct {
				from, to string
				recorded bool
			}{
				{"inactive", decode.NotLoaded, true}, {decode.NotLoaded, "inactive", true}, {"inactive", "activating", false}, {"activating", "active", false},
				{"active", "active", false}, {"active", "reloading", true}, {"reloading", "active", false}, {"active", "refreshing", true},
				{"refreshing", "active", false}, {"active", "deactivating", false}, {"deactivating", "inactive", false}, {"inactive", "maintenance", true},
			} {
				if move(m.from, m.to); m.recorded {
					want = append(want, m.from+" "+m.to)
				}
			}
			for range 1000 {
				move("active", "reloading")
			}
			k.tell(name, classify.Crashed)
		})
		d.check(t, tallies)
		var got []string
		crashes := 0
		for _, r := range d.records {
			switch r.Kind {
			case store.State:
				got = append(got, r.From+" "+r.To)
			case store.Crash:
				crashes++
			}
		}
		if len(got) < len(want) || len(got) > burst/2+1 {
			t.Fatalf("%d states: %q", len(got), got)
		}
		if diff := cmp.Diff(want, got[:len(want)]); diff != "" || crashes != 1 {
			t.Errorf("%d crashes (-want +got):\n%s", crashes, diff)
		}
	})
}
