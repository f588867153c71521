package chronicle

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// unreadable tells that the journal cannot be read since a time: units have nothing to catch up with.
func (k *keeper) unreadable(since time.Time, units ...string) {
	for _, unit := range units {
		k.send(count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: unit, Time: time.Now(), Life: &classify.Life{Opened: since}}})
	}
}

// inGap tells what the journal has of the gap. It is read, but the gap is still open.
func (k *keeper) inGap(since time.Time, unit string, kinds ...classify.Kind) {
	for _, kind := range kinds {
		k.send(count.Event{Transition: classify.Transition{Kind: kind, Unit: unit, Time: time.Now(), Recovered: true, Life: &classify.Life{Opened: since}}})
	}
}

// atLeast tells an end that no record tells.
func (k *keeper) atLeast(unit string) {
	k.send(count.Event{Transition: classify.Transition{Kind: classify.UnknownEnd, Unit: unit, Time: time.Now(), AtLeast: true}})
}

// gaps returns the records of gaps as words. Times are in minutes since a time.
func (d *disk) gaps(from time.Time) (lines []string) {
	minutes := func(t time.Time) float64 { return t.Sub(from).Minutes() }
	for _, r := range d.records {
		if r.Kind != store.Gap {
			continue
		}
		line := fmt.Sprintf("%s since %.0f", r.To, minutes(r.Time))
		if !r.Until.IsZero() {
			line += fmt.Sprintf(" until %.0f", minutes(r.Until))
		}
		for _, f := range []struct {
			flag store.Flags
			word string
		}{{store.AtLeast, "at least"}, {store.Untrusted, "clock not set"}} {
			if r.Flags&f.flag != 0 {
				line += ", " + f.word
			}
		}
		lines = append(lines, line)
	}
	return lines
}

const other = "b.service"

// The journal cannot be read for a while. One record tells when that began, and one when it was over
// and whether the counts are right, however many units there are.
func TestGap(t *testing.T) {
	opened, closed := "opened since 5", "closed since 5 until 60"
	for _, tt := range []struct {
		name   string
		happen func(k *keeper, since time.Time)
		want   []string
	}{
		{"all recovered", func(k *keeper, since time.Time) {
			k.inGap(since, name, classify.Crashed, classify.Started)
			k.tell(name, classify.CaughtUp)
			k.tell(other, classify.CaughtUp)
		}, []string{opened, closed}},
		{"lower bounds", func(k *keeper, since time.Time) {
			k.tell(name, classify.CaughtUp)
			k.atLeast(other)
			k.tell(other, classify.CaughtUp)
		}, []string{opened, closed + ", at least"}},
		{"one unit is still unread", func(k *keeper, since time.Time) {
			k.tell(name, classify.Started, classify.CaughtUp)
		}, []string{opened}},
		{"it is told, but not caught up with", func(k *keeper, since time.Time) {
			k.tell(name, classify.Started)
			k.tell(other, classify.Moved, classify.Started)
		}, []string{opened}},
		{"one unit is forgotten", func(k *keeper, since time.Time) {
			k.forget(other)
			k.tell(name, classify.CaughtUp)
		}, []string{opened, closed}},
		{"a glob is noted", func(k *keeper, since time.Time) {
			k.forget(name)
			k.forget(other)
			k.send(count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: "job@*.service", Time: time.Now(), Life: &classify.Life{Pattern: true}}})
			k.tell("c.service", classify.Seen)
		}, []string{opened}},
		{"the same gap again", func(k *keeper, since time.Time) {
			k.tell(name, classify.CaughtUp)
			k.tell(other, classify.CaughtUp)
			k.unreadable(since, other, name)
			k.tell(name, classify.CaughtUp)
			k.tell(other, classify.CaughtUp)
		}, []string{opened, closed}},
		{"what a snapshot shows of a gap that is over", func(k *keeper, since time.Time) {
			k.tell(name, classify.CaughtUp)
			k.tell(other, classify.CaughtUp)
			k.send(count.Event{Transition: classify.Transition{Kind: classify.UnknownEnd, Unit: name, Time: time.Now(), Life: &classify.Life{Opened: time.Now()}}})
			k.tell(name, classify.CaughtUp)
		}, []string{opened, closed}},
		{"it cannot be read again", func(k *keeper, since time.Time) {
			k.tell(name, classify.CaughtUp)
			k.tell(other, classify.CaughtUp)
			k.unreadable(time.Now(), other, name)
			k.atLeast(name) // this one belongs to the second gap
		}, []string{opened, closed, "opened since 60"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, tallies, from := &disk{boot: "b"}, map[string]count.Tally{}, time.Now()
				live(t, d, tallies, false, func(k *keeper) {
					k.tell(name, classify.Seen, classify.Started, classify.CaughtUp)
					k.tell(other, classify.Seen, classify.Started, classify.CaughtUp)
					k.atLeast(other) // long before the gap
					time.Sleep(5 * time.Minute)
					since := time.Now()
					time.Sleep(time.Minute) // the snapshots take their time
					k.unreadable(since, name, other)
					k.tell(name, classify.Moved)
					time.Sleep(54 * time.Minute)
					tt.happen(k, since)
				})
				if diff := cmp.Diff(tt.want, d.gaps(from)); diff != "" {
					t.Error(diff)
				}
				for _, r := range d.records {
					if r.Kind == store.Gap && (r.Unit != "" || r.Delta != store.Counts{} || r.After != store.Counts{}) {
						t.Errorf("%+v counts", r)
					}
					at := r.Time
					if !r.Until.IsZero() {
						at = r.Until
					}
					if r.Kind == store.Gap && uint64(at.UnixMicro()) != r.Monotonic {
						t.Errorf("%v is %d by the other clock", at, r.Monotonic)
					}
				}
				d.check(t, tallies)
			})
		})
	}
}

// The monitor is killed, or stopped, while the journal cannot be read, or just after. Whatever it
// had saved, the chronicle has each gap once.
func TestGapOfTwoLives(t *testing.T) {
	closing := func(k *keeper) {
		k.tell(name, classify.CaughtUp)
		k.tell(other, classify.CaughtUp)
	}
	for _, tt := range []struct {
		name  string
		kill  bool
		saved func(before, open, after map[string]count.Tally) map[string]count.Tally
		first func(k *keeper)                  // after the gap was opened at minute 5, up to minute 10
		then  func(k *keeper, since time.Time) // from minute 15 on, in another monitor
		want  []string
	}{
		{"still unreadable, and later read", true, func(_, open, _ map[string]count.Tally) map[string]count.Tally { return open }, nil, func(k *keeper, _ time.Time) {
			k.unreadable(time.Now(), name, other)
			time.Sleep(time.Minute)
			closing(k)
		}, []string{"opened since 5", "closed since 5 until 16"}},
		{"the same time comes again", true, func(_, open, _ map[string]count.Tally) map[string]count.Tally { return open }, nil, func(k *keeper, since time.Time) {
			k.unreadable(since, name, other)
		}, []string{"opened since 5"}},
		{"stopped, and readable at once", false, func(_, open, _ map[string]count.Tally) map[string]count.Tally { return open }, nil, func(k *keeper, since time.Time) {
			k.inGap(since, name, classify.Stopped, classify.Started)
			k.tell(name, classify.CaughtUp)
			k.atLeast(other)
			closing(k)
		}, []string{"opened since 5", "closed since 5 until 15, at least"}},
		{"lower bounds before the kill", true, func(_, open, _ map[string]count.Tally) map[string]count.Tally { return open }, func(k *keeper) { k.atLeast(name) }, func(k *keeper, since time.Time) {
			closing(k)
		}, []string{"opened since 5", "closed since 5 until 15, at least"}},
		{"not saved that it was opened", true, func(before, _, _ map[string]count.Tally) map[string]count.Tally { return before }, nil, func(k *keeper, _ time.Time) {
			k.tell(name, classify.Moved)
			k.unreadable(time.Now(), name, other)
			time.Sleep(time.Minute)
			closing(k)
		}, []string{"opened since 5", "closed since 5 until 16"}},
		{"not saved that it was closed", true, func(_, open, _ map[string]count.Tally) map[string]count.Tally { return open }, closing, func(k *keeper, since time.Time) {
			k.inGap(since, name, classify.Crashed, classify.Started)
			closing(k)
		}, []string{"opened since 5", "closed since 5 until 10"}},
		{"not saved that it was closed, and unreadable again", true, func(_, open, _ map[string]count.Tally) map[string]count.Tally { return open }, closing, func(k *keeper, since time.Time) {
			k.unreadable(time.Now(), name, other)
		}, []string{"opened since 5", "closed since 5 until 10", "opened since 15"}},
		{"closed and saved", true, func(_, _, after map[string]count.Tally) map[string]count.Tally { return after }, closing, func(k *keeper, _ time.Time) {
			closing(k)
		}, []string{"opened since 5", "closed since 5 until 10"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, tallies, from := &disk{boot: "b"}, map[string]count.Tally{}, time.Now()
				var before, open, after map[string]count.Tally
				var since time.Time
				live(t, d, tallies, tt.kill, func(k *keeper) {
					k.tell(name, classify.Seen, classify.Started, classify.CaughtUp)
					k.tell(other, classify.Seen, classify.Started, classify.CaughtUp)
					before = maps.Clone(k.tallies)
					time.Sleep(5 * time.Minute)
					since = time.Now()
					k.unreadable(since, name, other)
					open = maps.Clone(k.tallies)
					time.Sleep(5 * time.Minute)
					if tt.first != nil {
						tt.first(k)
						time.Sleep(time.Minute)
					}
					after = maps.Clone(k.tallies)
				})
				time.Sleep(time.Until(from.Add(15 * time.Minute)))
				live(t, d, tt.saved(before, open, after), false, func(k *keeper) { tt.then(k, since) })
				if diff := cmp.Diff(tt.want, d.gaps(from)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
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

// journald fails and comes back all day. That takes no room from the history of the units, and each
// opening that is recorded has its closing.
func TestGapAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{boot: "b"}
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) {
			for range 24 * 60 {
				k.unreadable(time.Now(), name)
				time.Sleep(30 * time.Second)
				k.tell(name, classify.CaughtUp)
				time.Sleep(30 * time.Second)
			}
		})
		n := 0
		for _, r := range d.records {
			if r.Kind != store.Gap {
				continue
			}
			if want := []string{store.GapOpened, store.GapClosed}[n%2]; r.To != want {
				t.Fatalf("record %d: %s", n, r.To)
			}
			n++
		}
		if n < 2*burst || n > 2*(burst+24*6) || n%2 != 0 {
			t.Errorf("%d records", n)
		}
	})
}

// The disk is full while the gap is opened and closed. The monitor goes on, and so does the next one.
func TestGapUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies, from := &disk{boot: "b"}, map[string]count.Tally{}, time.Now()
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp)
			k.unreadable(time.Now(), name)
			time.Sleep(time.Minute)
			d.fail(errors.New("no space left"))
			k.tell(name, classify.CaughtUp)
		})
		d.fail(nil)
		time.Sleep(time.Until(from.Add(5 * time.Minute)))
		live(t, d, tallies, false, func(k *keeper) { k.tell(name, classify.CaughtUp) })
		if diff := cmp.Diff([]string{"opened since 0", "closed since 0 until 5"}, d.gaps(from)); diff != "" {
			t.Error(diff)
		}
		d.check(t, tallies)
	})
}
