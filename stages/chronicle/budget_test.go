package chronicle

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A unit crashes every 17 seconds for a month. The history of another unit stays whole, and there
// are few writes.
func TestLoopOfAMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		const others = 30
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.Started, classify.CaughtUp)
			k.tell("b.service", classify.Seen, classify.CaughtUp)
			for range others {
				k.tell("b.service", classify.Started)
				for range 24 * 60 * 60 / 17 {
					k.tell(name, classify.Crashed, classify.Restarted, classify.Started)
					time.Sleep(17 * time.Second)
				}
				k.tell("b.service", classify.Stopped)
			}
		})
		own := 0
		for _, r := range d.records {
			if r.Unit == "b.service" && r.Kind != store.Seen {
				own++
			}
		}
		if own != 2*others {
			t.Errorf("%d records of the other", own)
		}
		if len(d.records) > 5500 {
			t.Errorf("%d records", len(d.records))
		}
		sum := d.sums(t)[name]
		if want := int64(others * (24 * 60 * 60 / 17)); sum.Crashes != want || sum.Restarts != want || sum.Starts != want+1 {
			t.Errorf("%+v, want %d crashes", sum, want)
		}
		if perDay := d.writes / others; perDay > 400 {
			t.Errorf("%d writes a day", perDay)
		}
	})
}

// A unit is forgotten in the middle of a storm. Its records are complete.
func TestForgottenInStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp)
			for range burst {
				k.tell(name, classify.Started, classify.Crashed)
			}
			k.forget(name)
		})
		d.check(t, tallies)
		lines := d.lines()
		if want := []string{"many {30 0 30 0 0} {60 0 60 0 0}", "forgotten {60 0 60 0 0}"}; !slices.Equal(lines[len(lines)-2:], want) {
			t.Errorf("%q", lines[len(lines)-2:])
		}
	})
}

// The instances of a template come and go all day. They leave a bounded number of records, and an
// instance that stays has its history.
func TestInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		const instances, stays = 5000, "job@stays.service"
		live(t, d, tallies, false, func(k *keeper) {
			for i := range instances {
				unit := fmt.Sprintf("job@%d.service", i)
				if k.tell(unit, classify.Seen); i%2 == 0 {
					k.tell(unit, classify.Started, classify.Stopped)
				}
				k.forget(unit)
				time.Sleep(time.Second)
			}
			k.tell(stays, classify.Seen, classify.Started)
			time.Sleep(time.Hour)
			k.tell(stays, classify.Stopped)
		})
		d.check(t, tallies)
		if len(d.records) > 5*burst {
			t.Errorf("%d records", len(d.records))
		}
		if got := d.sums(t)[stays]; got != (store.Counts{Starts: 1, Stops: 1}) {
			t.Errorf("%v", got)
		}
	})
}

// BenchmarkStorm measures the events of a unit that crashes all the time.
func BenchmarkStorm(b *testing.B) {
	s := New(logrus.New(), nil, nil)
	s.store = &disk{}
	now := time.Now()
	tally := count.Tally{Unit: name}
	kinds := []classify.Kind{classify.Moved, classify.Started, classify.Moved, classify.Crashed, classify.Moved, classify.Restarted, classify.Moved}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e := count.Event{Transition: classify.Transition{Kind: kinds[i%len(kinds)], Unit: name, Time: now, Life: &classify.Life{}}, Tally: &tally}
		switch e.Kind {
		case classify.Started:
			tally.Starts++
		case classify.Crashed:
			tally.Crashes++
		case classify.Restarted:
			tally.Restarts++
		}
		s.take(&e, now)
		i++
	}
}
