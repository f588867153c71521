package chronicle

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A disk is a store in memory. It also has the machine of a test.
type disk struct {
	records []store.Record
	writes  int
	boot    string
	behind  atomic.Int64          // CLOCK_MONOTONIC is so much behind the wall clock
	fault   atomic.Pointer[error] // what every write returns
	refuses int                   // how often it cannot be opened
	saver   Saver                 // nil if nobody saves the counts
	service *pipelinetest.Notifier
}

func (d *disk) fail(err error) { d.fault.Store(&err) }

func (d *disk) Close() {}

func (d *disk) Append(records []store.Record) (int, error) {
	if d.writes++; d.fault.Load() != nil && *d.fault.Load() != nil {
		return 0, *d.fault.Load()
	}
	for i := range records {
		records[i].Seq = uint64(len(d.records) + i)
	}
	d.records = append(d.records, records...)
	return len(records), nil
}

// open returns the disk as an open store.
func (d *disk) open(t *testing.T) Opened {
	t.Helper()
	sums := d.add(t)
	o := Opened{Store: d, Has: map[string]store.Counts{}, Gone: sums.Gone, Clocks: sums.Clocks, Gap: sums.Gap}
	for unit, sum := range sums.Units {
		o.Has[unit] = sum.After
	}
	return o
}

// sums returns what the records add up to.
func (d *disk) sums(t *testing.T) map[string]store.Counts {
	t.Helper()
	return d.open(t).Has
}

// add adds up the records. Each record must fit to the one before.
func (d *disk) add(t *testing.T) (s store.Sums) {
	t.Helper()
	for i := range d.records {
		s.Add(&d.records[i])
	}
	for _, f := range s.Faults {
		t.Errorf("%s: %s", f.Unit, f)
	}
	return s
}

// check checks that the records add up to the tallies.
func (d *disk) check(t *testing.T, tallies map[string]count.Tally) {
	t.Helper()
	for unit, got := range d.sums(t) {
		if tally := tallies[unit]; got != Counts(&tally) {
			t.Errorf("%s: %v, want %v", unit, got, Counts(&tally))
		}
	}
}

// lines returns the records of units as words.
func (d *disk) lines() (lines []string) {
	for _, r := range d.records {
		if r.Unit == "" {
			continue
		}
		line := r.Kind.String()
		if r.Flags&store.Untold != 0 {
			line = "untold"
		}
		if r.Kind == store.Many {
			line += fmt.Sprintf(" %v", r.Delta)
		}
		lines = append(lines, fmt.Sprintf("%s %v", line, r.After))
	}
	return lines
}

// If the disk is full when the monitor stops, the monitor does not fail. The next start makes up
// for what is missing.
func TestFullAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp)
			time.Sleep(time.Minute)
			k.tell(name, classify.Started)
			d.fail(errors.New("no space left"))
		})
		d.fail(nil)
		live(t, d, tallies, false, func(k *keeper) { k.tell(name, classify.CaughtUp) })
		d.check(t, tallies)
	})
}

// A disk takes nothing for a while. That holds nothing up, and the history adds up afterwards.
func TestFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen)
			time.Sleep(time.Minute)
			d.fail(errors.New("no space left"))
			for i := range 3 * backlog {
				u := fmt.Sprintf("u%d.service", i%(backlog/8))
				k.tell(u, classify.Started, classify.Stopped)
			}
			time.Sleep(time.Hour)
			d.fail(nil)
			time.Sleep(2 * lastRetry)
			k.tell(name, classify.Started)
		})
		for name, got := range d.sums(t) {
			if tally := tallies[name]; got != Counts(&tally) {
				t.Fatalf("%s: %v, want %v", name, got, Counts(&tally))
			}
		}
		if len(d.sums(t)) != len(tallies) {
			t.Errorf("%d units of %d", len(d.sums(t)), len(tallies))
		}
	})
}

// Records are dropped while units are forgotten and seen again, and while a fold collects. The history
// adds up all the same.
func TestDropped(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after func(*keeper)
	}{
		{"forgotten", func(k *keeper) { k.forget(name) }, nil},
		{"seen again", func(k *keeper) { k.forget(name); k.tell(name, classify.Seen) }, nil},
		{"started again", func(k *keeper) {
			k.tell(name, classify.Started, classify.Stopped)
			k.forget(name)
			k.tell(name, classify.Seen, classify.Started)
		}, func(k *keeper) { k.tell(name, classify.Stopped) }},
		{"folded", func(k *keeper) {
			for range burst {
				k.tell(name, classify.Started, classify.Stopped)
			}
		}, func(k *keeper) { k.tell(name, classify.Started) }},
		{"seen again and folded", func(k *keeper) {
			k.forget(name)
			k.tell(name, classify.Seen)
			for range burst {
				k.tell(name, classify.Started, classify.Stopped)
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, tallies := &disk{}, map[string]count.Tally{}
				live(t, d, tallies, false, func(k *keeper) {
					k.tell(name, classify.Seen, classify.Started, classify.Stopped)
					time.Sleep(time.Minute)
					d.fail(errors.New("no space left"))
					for i := range 2 * backlog { // more than may wait
						k.tell(fmt.Sprintf("u%d.service", i%(backlog/8)), classify.Started, classify.Stopped)
					}
					tt.before(k)
					time.Sleep(wait)
					d.fail(nil)
					time.Sleep(10 * time.Second)
					if tt.after != nil {
						tt.after(k)
					}
					time.Sleep(time.Hour)
				})
				d.check(t, tallies)
			})
		})
	}
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
