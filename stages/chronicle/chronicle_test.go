package chronicle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// A disk is a store in memory. It also has the machine of a test.
type disk struct {
	records []store.Record
	writes  int
	boot    string
	behind  atomic.Int64          // CLOCK_MONOTONIC is so much behind the wall clock
	fault   atomic.Pointer[error] // what every write returns
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

// A keeper counts, as the stage before the chronicler does. A test says when its counts are saved.
type keeper struct {
	tallies map[string]count.Tally
	out     chan<- count.Event
}

func (k *keeper) tell(unit string, kinds ...classify.Kind) {
	for _, kind := range kinds {
		k.send(count.Event{Transition: classify.Transition{Kind: kind, Unit: unit, Time: time.Now()}})
	}
}

// recover tells what is counted again from the journal.
func (k *keeper) recover(unit string, kinds ...classify.Kind) {
	for _, kind := range kinds {
		k.send(count.Event{Transition: classify.Transition{Kind: kind, Unit: unit, Time: time.Now(), Recovered: true}})
	}
}

func (k *keeper) forget(unit string) {
	t := k.tallies[unit]
	delete(k.tallies, unit)
	k.out <- count.Event{Transition: classify.Transition{Kind: classify.Forgotten, Unit: unit, Time: time.Now()}, Tally: &t}
}

func (k *keeper) send(e count.Event) {
	t := k.tallies[e.Unit]
	t.Unit = e.Unit
	switch e.Kind {
	case classify.Started:
		t.Starts++
	case classify.Stopped:
		t.Stops++
	case classify.Crashed:
		t.Crashes++
	case classify.UnknownEnd:
		t.Unknown++
	case classify.Restarted:
		t.Restarts++
		if e.Missed {
			t.Starts, t.Unknown = t.Starts+1, t.Unknown+1
		}
	}
	if e.Life == nil {
		e.Life = &classify.Life{}
	}
	t.Life = e.Life
	k.tallies[e.Unit] = t
	e.Tally = &t
	k.out <- e
}

// live runs a chronicler in virtual time while happen runs, and then stops or kills it. The
// chronicler begins with the records of the disk and with these tallies.
func live(t *testing.T, d *disk, tallies map[string]count.Tally, kill bool, happen func(*keeper)) {
	t.Helper()
	events := make(chan count.Event)
	g := pipeline.New(pipelinetest.NewNotifier(0))
	in := pipeline.Source(g, "world", pipelinetest.Feed(events))
	log := logrus.New()
	log.SetOutput(io.Discard)
	ended, writes := d.records, d.writes // what is written after a kill is taken back
	known := map[string]*count.Tally{}
	for unit, tally := range tallies {
		known[unit] = &tally
	}
	stage := New(log, func() Opened { return d.open(t) }, known)
	stage.boot, stage.clock = d.boot, func() uint64 { return uint64(time.Now().Add(-time.Duration(d.behind.Load())).UnixMicro()) }
	var told []store.Record
	pipeline.Sink(g, "told", pipeline.Add(g, "chronicle", in, stage), pipelinetest.Collect(&told))
	stop, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		happen(&keeper{tallies, events})
		synctest.Wait()
		ended, writes = d.records, d.writes
	}()
	had := len(d.records)
	if err := g.Run(stop); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(d.records[had:], told); diff != "" { // each record that was written is sent once
		t.Errorf("(-written +told):\n%s", diff)
	}
	if kill {
		d.records, d.writes = ended, writes
	}
}

const name = "a.service"

func TestEachEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		saved := map[string]count.Tally{}
		live(t, d, tallies, true, func(k *keeper) {
			k.tell(name, classify.Seen, classify.Started, classify.CaughtUp)
			time.Sleep(time.Minute)
			saved[name] = tallies[name]
			k.tell(name, classify.Crashed, classify.Restarted, classify.Started)
			time.Sleep(time.Minute)
		})
		// The monitor was killed before it saved these. It reads them in the journal.
		live(t, d, saved, false, func(k *keeper) {
			k.recover(name, classify.Crashed, classify.Restarted, classify.Started, classify.Crashed)
			k.tell(name, classify.CaughtUp)
			time.Sleep(time.Minute)
		})
		want := []string{"seen {0 0 0 0 0}", "start {1 0 0 0 0}", "crash {1 0 1 0 0}", "restart {1 0 1 0 1}", "start {2 0 1 0 1}", "crash {2 0 2 0 1}"}
		if diff := cmp.Diff(want, d.lines()); diff != "" {
			t.Error(diff)
		}
		if d.writes != 4 { // one for each minute, and the end
			t.Errorf("%d writes", d.writes)
		}
	})
}

// If the monitor was killed before the chronicle was written, or had no chronicle for a while, one
// record makes up for what is missing.
func TestUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		live(t, d, tallies, true, func(k *keeper) {
			k.tell(name, classify.Seen, classify.Started, classify.CaughtUp)
			time.Sleep(time.Minute)
			k.tell(name, classify.Crashed, classify.Restarted, classify.Started) // killed at once
		})
		live(t, d, tallies, false, func(k *keeper) { k.tell(name, classify.CaughtUp, classify.Stopped) })
		want := []string{"seen {0 0 0 0 0}", "start {1 0 0 0 0}", "untold {1 0 1 0 1} {2 0 1 0 1}", "stop {2 1 1 0 1}"}
		if diff := cmp.Diff(want, d.lines()); diff != "" {
			t.Error(diff)
		}
	})
}

// After a kill, the sum of a glob is counted again, unit by unit. It is not written again.
func TestGlobAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const glob = "job@*.service"
		d, tallies := &disk{}, map[string]count.Tally{}
		grow := func(k *keeper, recovered bool, most uint64) {
			for n := range most {
				k.tallies[glob] = count.Tally{Starts: n + 1, Stops: n + 1}
				k.send(count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: glob, Time: time.Now(), Recovered: recovered}})
			}
			time.Sleep(time.Minute)
		}
		live(t, d, tallies, true, func(k *keeper) { grow(k, false, 3) })
		before := len(d.lines())
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) { grow(k, true, 4) })
		if got := d.lines()[before:]; !slices.Equal(got, []string{"many {1 1 0 0 0} {4 4 0 0 0}"}) {
			t.Errorf("%q", got)
		}
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) { grow(k, true, 2); tallies = k.tallies }) // the journal lacks the rest
		d.check(t, tallies)
	})
}

// Somebody puts back an older state file, and the journal does not reach back that far. Then the
// counts of that file hold, and a record takes back what the history has told beyond them.
func TestOlderState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies, older := &disk{}, map[string]count.Tally{}, map[string]count.Tally{}
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.Started, classify.CaughtUp)
			older[name] = tallies[name]
			k.tell(name, classify.Crashed, classify.Started)
		})
		live(t, d, older, false, func(k *keeper) {
			k.recover(name, classify.UnknownEnd)
			k.tell(name, classify.CaughtUp)
		})
		want := []string{
			"seen {0 0 0 0 0}", "start {1 0 0 0 0}", "crash {1 0 1 0 0}", "start {2 0 1 0 0}",
			"unknown-end {2 0 1 1 0}", "untold {-1 0 -1 0 0} {1 0 0 1 0}",
		}
		if diff := cmp.Diff(want, d.lines()); diff != "" {
			t.Error(diff)
		}
	})
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

// A unit of a glob comes and goes. The monitor saves that, and is killed before the chronicle has
// it.
func TestPassedUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		live(t, d, tallies, true, func(k *keeper) {
			k.recover(name, classify.Seen, classify.Started, classify.Stopped)
			time.Sleep(time.Minute)
		})
		live(t, d, map[string]count.Tally{}, true, func(k *keeper) { k.recover(name, classify.Seen, classify.Started) })
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) {})
		want := []string{"seen {0 0 0 0 0}", "start {1 0 0 0 0}", "stop {1 1 0 0 0}", "forgotten {1 1 0 0 0}"}
		if diff := cmp.Diff(want, d.lines()); diff != "" {
			t.Error(diff)
		}
	})
}

// Units of a glob come and go, and the monitor is killed before it saves any of that. It reads all
// of it in the journal again. The chronicle has each event once.
func TestPassedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs = 5
		d := &disk{}
		pass := func(k *keeper, recovered bool) {
			for i := range jobs {
				unit := fmt.Sprintf("job@%d.service", i)
				for _, kind := range []classify.Kind{classify.Seen, classify.Started, classify.Stopped, classify.Folded} {
					k.send(count.Event{Transition: classify.Transition{Kind: kind, Unit: unit, Time: time.Now(), Recovered: recovered}})
				}
			}
			time.Sleep(time.Minute)
		}
		live(t, d, map[string]count.Tally{}, true, func(k *keeper) { pass(k, false) })
		once := d.lines()
		live(t, d, map[string]count.Tally{}, true, func(k *keeper) { pass(k, true) })
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) { pass(k, true) })
		if diff := cmp.Diff(once, d.lines()); diff != "" || len(once) != 4*jobs {
			t.Errorf("%d records, and then (-once +again):\n%s", len(once), diff)
		}
		// After a stop, a unit of the same name is another one.
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) { pass(k, true) })
		if all := d.lines(); len(all) != 2*len(once) {
			t.Errorf("%d records, want %d", len(all), 2*len(once))
		}
	})
}

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

// If the monitor ends before it has caught up, the history does not say that it fits the state
// file.
func TestStoppedTooSoon(t *testing.T) {
	for _, seen := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, saved := &disk{}, map[string]count.Tally{name: {Unit: name}}
			live(t, d, map[string]count.Tally{}, true, func(k *keeper) {
				k.tell(name, classify.Seen, classify.CaughtUp, classify.Started, classify.Stopped)
				time.Sleep(time.Minute)
			})
			live(t, d, saved, false, func(k *keeper) {
				if seen {
					k.recover(name, classify.Started)
				}
			})
			if last := d.records[len(d.records)-1]; last.To != store.Stopped || last.Flags != store.Untold {
				t.Errorf("seen %t: %+v", seen, last)
			}
			live(t, d, saved, false, func(k *keeper) { k.tell(name, classify.CaughtUp) })
			if d.check(t, saved); d.records[len(d.records)-1].Flags != 0 {
				t.Errorf("seen %t: %+v", seen, d.records)
			}
		})
	}
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

// Monitors live at random: they save, are killed, and read in the journal the same again or
// something else. In the end the history adds up to the counts.
func TestRandomLives(t *testing.T) {
	for seed := range pipelinetest.Seeds(150) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			d, saved := &disk{}, map[string]count.Tally{}
			kinds := []classify.Kind{classify.Started, classify.Stopped, classify.Crashed, classify.UnknownEnd, classify.Restarted}
			units := []string{"a.service", "b.service", "c@1.service"}
			var since []count.Event // what was told since the last save
			for life := range 6 {
				last := life == 5
				tallies := map[string]count.Tally{}
				for unit, tally := range saved {
					tallies[unit] = tally
				}
				live(t, d, tallies, !last && r.IntN(2) == 0, func(k *keeper) {
					for _, e := range since {
						if e.Recovered = true; r.IntN(20) == 0 {
							e.Kind = kinds[r.IntN(len(kinds))] // the journal tells something else
						}
						k.send(e)
					}
					for _, unit := range units {
						k.tell(unit, classify.CaughtUp)
					}
					for range r.IntN(200) {
						e := count.Event{Transition: classify.Transition{Kind: kinds[r.IntN(len(kinds))], Unit: units[r.IntN(3)], Time: time.Now()}}
						e.Missed = e.Kind == classify.Restarted && r.IntN(9) == 0
						k.send(e)
						since = append(since, e)
						if r.IntN(9) == 0 {
							k.send(count.Event{Transition: classify.Transition{Kind: classify.Moved, Unit: e.Unit, Time: time.Now(), From: "active", To: "reloading"}})
						}
						if r.IntN(30) == 0 {
							time.Sleep(time.Duration(r.Int64N(int64(2 * time.Minute))))
						}
						if r.IntN(40) == 0 {
							since = nil
							for unit, tally := range k.tallies {
								saved[unit] = tally
							}
						}
					}
				})
				if last {
					for unit, got := range d.sums(t) {
						if tally := tallies[unit]; got != Counts(&tally) {
							t.Fatalf("seed %d: %s: %v, want %v\n%q", seed, unit, got, Counts(&tally), d.lines())
						}
					}
				}
			}
		})
	}
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
