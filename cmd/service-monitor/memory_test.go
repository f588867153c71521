package main

import (
	"fmt"
	"math"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline"
)

func TestReclaim(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64) })
	t.Setenv("GOMEMLIMIT", "")
	var r reclaimer
	r.reclaim()
	if limit := debug.SetMemoryLimit(-1); limit <= memoryLimit || limit > memoryLimit+64<<20 {
		t.Errorf("the limit is %d, want %d and what is in use", limit, memoryLimit)
	}
	if r.before == 0 || r.before != r.seen {
		t.Errorf("%+v, want what was allocated", r)
	}
}

// notified is a service manager that records its notifications.
type notified struct {
	pipeline.Notifier
	lines []string
}

func (n *notified) Notify(state string) { n.lines = append(n.lines, state) }

// TestHousekeeperDoesNotBlock wants Notify to return at once, however long it takes to give
// memory back. That is not done twice at the same time, but again in a later round.
func TestHousekeeperDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		manager := new(notified)
		var worked []string
		h := keepHouse(manager).(*housekeeper)
		begun := time.Now()
		h.work = func(ready bool) {
			worked = append(worked, fmt.Sprint(time.Since(begun), " ready ", ready))
			time.Sleep(25 * time.Second)
		}
		want := []string{"READY=1\nSTATUS=well", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"}
		for i, state := range want {
			time.Sleep(10 * time.Second)
			if h.Notify(state); time.Since(begun) != time.Duration(i+1)*10*time.Second {
				t.Fatalf("Notify returned after %v", time.Since(begun))
			}
		}
		synctest.Wait()
		if diff := cmp.Diff(want, manager.lines); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"10s ready true", "40s ready false"}, worked); diff != "" {
			t.Errorf("gave back (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
	})
	if keepHouse(nil) != nil {
		t.Error("there is a housekeeper without a notifier")
	}
}

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		name             string
		burst, lastRound uint64
		ago              time.Duration
		want             bool
	}{
		{"nothing happened", 0, 0, enough / 2, false},
		{"little happened", burst / 2, 0, enough / 2, false},
		{"a burst is over", 2 * burst, 0, enough / 2, true},
		{"a burst goes on", 2 * burst, 2 * calm, enough / 2, false},
		{"long ago", 0, 0, enough, true},
		{"long ago, and a burst goes on", 2 * burst, 2 * calm, enough, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := allocated()
				r := reclaimer{now - tt.burst, now - tt.lastRound, time.Now()}
				was := r.before
				time.Sleep(tt.ago)
				if r.look(); r.before != was != tt.want {
					t.Errorf("gave back: %t", !tt.want)
				}
			})
		})
	}
}
