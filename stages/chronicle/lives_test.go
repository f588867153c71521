package chronicle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
)

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
		live(t, d, map[string]count.Tally{}, false, func(k *keeper) {
			// The state was lost, and all that the journal has is to be counted again.
			k.tallies[glob] = count.Tally{}
			k.send(count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: glob, Time: time.Now(), Life: &classify.Life{Pattern: true, Cursor: records.Beginning}}})
			grow(k, true, 4)
		})
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

// Units of a glob come and go, and the monitor is killed, or stopped in the middle, before it saves any of that.
// It reads all of it in the journal again. The chronicle has each event once.
func TestPassedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs, glob = 5, "job@*.service"
		d := &disk{}
		pass := func(recovered, complete bool) func(*keeper) {
			return func(k *keeper) {
				for i := range jobs {
					unit := fmt.Sprintf("job@%d.service", i)
					if recovered {
						k.recover(unit, classify.Seen, classify.Started, classify.Stopped)
					} else {
						k.tell(unit, classify.Seen, classify.Started, classify.Stopped)
					}
					sum := &count.Tally{Unit: glob}
					k.out <- count.Event{Transition: classify.Transition{Kind: classify.Folded, Unit: unit, Time: time.Now(), Recovered: recovered}, Tally: sum}
					k.out <- count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: glob, Time: time.Now(), Recovered: recovered}, Tally: sum}
				}
				if complete {
					k.out <- count.Event{Transition: classify.Transition{Kind: classify.CaughtUp, Unit: glob, Time: time.Now()}, Tally: &count.Tally{Unit: glob}}
				}
				time.Sleep(time.Minute)
			}
		}
		live(t, d, map[string]count.Tally{}, true, pass(false, true))
		once := d.lines()
		live(t, d, map[string]count.Tally{}, true, pass(true, true))
		live(t, d, map[string]count.Tally{}, false, pass(true, false))
		live(t, d, map[string]count.Tally{glob: {Unit: glob}}, false, pass(true, true))
		if diff := cmp.Diff(once, d.lines()); diff != "" || len(once) != 4*jobs+1 {
			t.Errorf("%d records, and then (-once +again):\n%s", len(once), diff)
		}
		// After a stop, a unit of the same name is another one.
		live(t, d, map[string]count.Tally{glob: {Unit: glob}}, false, pass(true, true))
		if all := d.lines(); len(all) != 2*len(once)-1 {
			t.Errorf("%d records, want %d", len(all), 2*len(once)-1)
		}
	})
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
							e.Kind, e.More = kinds[r.IntN(len(kinds))], 0 // the journal tells something else
						}
						k.send(e)
					}
					for _, unit := range units {
						k.tell(unit, classify.CaughtUp)
					}
					for range r.IntN(200) {
						e := count.Event{Transition: classify.Transition{Kind: kinds[r.IntN(len(kinds))], Unit: units[r.IntN(3)], Time: time.Now()}}
						if e.Missed = e.Kind == classify.Restarted && r.IntN(9) == 0; e.Kind == classify.Restarted && r.IntN(9) == 0 {
							e.More = r.Uint32N(1000)
						}
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
