package chronicle

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// set sets the wall clock of the machine. A test cannot set the clock of its bubble. So it moves the
// other one, which comes to the same.
func (d *disk) set(by time.Duration) { d.behind.Add(int64(by)) }

// steps returns by how much the clock was set, as the records say it.
func (d *disk) steps(t *testing.T) (steps []time.Duration) {
	t.Helper()
	for _, r := range d.records {
		if r.Kind != store.Clock {
			continue
		}
		from, err := time.Parse(time.RFC3339, r.From)
		if err != nil {
			t.Error(err)
		}
		to, err := time.Parse(time.RFC3339, r.To)
		if err != nil || !to.Equal(r.Time.Round(time.Millisecond)) {
			t.Errorf("%v, %v: %v", to, r.Time, err)
		}
		steps = append(steps, to.Sub(from))
	}
	return steps
}

// A record tells each step of the clock that is more than a second, before the records of what
// happened after it. Many small steps are one record.
func TestClockSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{boot: "b"}, map[string]count.Tally{}
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp)
			for _, by := range []time.Duration{20 * 365 * 24 * time.Hour, time.Second, 0, -time.Hour, 400 * time.Millisecond, 400 * time.Millisecond, 400 * time.Millisecond} {
				time.Sleep(time.Hour)
				d.set(by)
				k.tell(name, classify.Started, classify.Stopped)
			}
		})
		want := []time.Duration{20 * 365 * 24 * time.Hour, time.Second - time.Hour, 1200 * time.Millisecond}
		if got := d.steps(t); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		var kinds []store.Kind
		for _, r := range d.records[:5] {
			kinds = append(kinds, r.Kind)
		}
		if want := []store.Kind{store.Monitor, store.Seen, store.Clock, store.Start, store.Stop}; !slices.Equal(kinds, want) {
			t.Errorf("%v, want %v", kinds, want)
		}
		d.check(t, tallies)
	})
}

// The clock is set while the monitor is at rest. Nothing wakes up for that, and nothing is written.
func TestClockSetAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{boot: "b"}
		live(t, d, map[string]count.Tally{}, true, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp)
			time.Sleep(time.Hour)
			d.set(time.Hour)
			time.Sleep(24 * time.Hour)
		})
		if d.writes != 1 || len(d.steps(t)) != 0 {
			t.Errorf("%d writes, %v", d.writes, d.steps(t))
		}
	})
}

// If the clock was set while no monitor was there, the next one in that boot records it. A reboot
// is no step of the clock, nor is a start.
func TestClockSetUnwatched(t *testing.T) {
	for _, tt := range []struct {
		name, boot, next string
		by               time.Duration
		kill             bool
		want             int
	}{
		{"the same boot", "b", "b", time.Hour, false, 1},
		{"killed", "b", "b", -time.Hour, true, 1},
		{"another boot", "b", "c", time.Hour, false, 0},
		{"no step", "b", "b", 0, false, 0},
		{"a sandbox hides the boot", "", "", time.Hour, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, tallies := &disk{boot: tt.boot}, map[string]count.Tally{}
				life := func(kill bool) {
					live(t, d, tallies, kill, func(k *keeper) {
						k.tell(name, classify.CaughtUp)
						time.Sleep(time.Minute)
					})
				}
				life(tt.kill)
				d.boot = tt.next
				d.set(tt.by)
				life(false)
				life(false) // and the one after that does not record it again
				if got := d.steps(t); len(got) != tt.want || tt.want > 0 && got[0] != tt.by {
					t.Errorf("%v", got)
				}
			})
		})
	}
}

// Two programs quarrel about the clock all day. That takes no room from the history of the units.
func TestClockSetAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{boot: "b"}
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) {
			for i := range 24 * 60 {
				time.Sleep(time.Minute)
				d.set(time.Hour * time.Duration(1-2*(i%2)))
				k.tell(fmt.Sprintf("u%d.service", i%60), classify.Started, classify.Stopped) // each unit has a record
			}
		})
		if got := len(d.steps(t)); got < burst || got > burst+24*6 {
			t.Errorf("%d records", got)
		}
	})
}

// A gateway boots in the past, and the journal cannot be read before NTP has set the clock. The
// record says that its time is wrong. How long the gap was is in the clock that nobody sets.
func TestGapBeforeTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, from := &disk{boot: "b"}, time.Now()
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) {
			k.send(count.Event{Transition: classify.Transition{Kind: classify.Seen, Unit: name, Time: time.Now(), Life: &classify.Life{Opened: time.Now()}}, Untrusted: true})
			time.Sleep(time.Minute)
			k.send(count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: name, Time: time.Now()}})
		})
		if diff := cmp.Diff([]string{"opened since 0, clock not set", "closed since 0 until 1, clock not set"}, d.gaps(from)); diff != "" {
			t.Error(diff)
		}
	})
}
