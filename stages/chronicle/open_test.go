package chronicle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A history that cannot be opened is tried again, and the status says so meanwhile. Then its records make up
// for what has happened, also if that was too much to remember.
func TestOpenedLater(t *testing.T) {
	for _, crashes := range []int{3, 3 * earliest} {
		t.Run(fmt.Sprint(crashes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, tallies := &disk{}, map[string]count.Tally{}
				live(t, d, tallies, false, func(k *keeper) {
					k.tell(name, classify.Seen, classify.CaughtUp, classify.Started)
					k.tell("c.service", classify.Seen, classify.CaughtUp, classify.Started)
				})
				d.refuses = 2
				live(t, d, tallies, false, func(k *keeper) {
					k.tell(name, classify.CaughtUp)
					time.Sleep(time.Minute)
					for range crashes {
						k.tell(name, classify.Crashed, classify.Started)
					}
					k.tell("b.service", classify.Seen, classify.CaughtUp, classify.Started)
					k.forget("c.service")
					time.Sleep(5 * time.Minute)
					synctest.Wait()
					if got, tally := d.sums(t)[name], tallies[name]; got != Counts(&tally) {
						t.Errorf("%v, want %v", got, Counts(&tally))
					}
					k.tell("b.service", classify.Stopped)
					k.tell(name, classify.Crashed)
				})
				d.check(t, tallies)
				if sums := d.add(t).Units; len(sums) != 2 || sums["b.service"].After != (store.Counts{Starts: 1, Stops: 1}) {
					t.Errorf("%+v", sums)
				}
				statuses := d.service.Statuses()
				well := []string{"3m1s ", "3m2s "} // one minute after the first failure, and two more; a stage that just sends is asked again after a second
				if !strings.Contains(statuses[0], "cannot write the history since") || !slices.Contains(well, statuses[1]) {
					t.Errorf("%q", statuses)
				}
			})
		})
	}
}

// A monitor that is stopped before its history could be opened does not wait for that.
func TestNeverOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{refuses: 100}, map[string]count.Tally{}
		begun := time.Now()
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp, classify.Started)
			time.Sleep(time.Second)
		})
		if took := time.Since(begun); took != time.Second || len(d.records) > 0 {
			t.Errorf("%v, %v", took, d.records)
		}
	})
}

// A saver ends after a while.
type saver struct {
	ended chan struct{}
	all   bool
}

func (s *saver) Ended() <-chan struct{} { return s.ended }
func (s *saver) All() bool              { return s.all }

// The last record says whether the saved counts are those of the history. So it comes after the last save. The
// other records do not wait for that.
func TestEndsAfterTheSave(t *testing.T) {
	for _, all := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := &saver{make(chan struct{}), all}
			d := &disk{saver: s}
			var before []string
			live(t, d, map[string]count.Tally{}, false, func(k *keeper) {
				k.tell(name, classify.Seen, classify.CaughtUp)
				time.Sleep(time.Minute)
				k.tell(name, classify.Started)
				go func() {
					time.Sleep(time.Second)
					synctest.Wait()
					before = d.lines()
					close(s.ended)
				}()
			})
			if diff := cmp.Diff([]string{"seen {0 0 0 0 0}", "start {1 0 0 0 0}"}, before); diff != "" {
				t.Error(diff)
			}
			want := store.Untold
			if all {
				want = 0
			}
			if last := d.records[len(d.records)-1]; last.To != store.Stopped || last.Flags != want {
				t.Errorf("everything is saved: %t, %+v", all, last)
			}
		})
	}
}

// A gap of the life before is closed while the history cannot be opened yet. The history says that it is closed
// as soon as it can.
func TestGapClosedBeforeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, tallies := &disk{}, map[string]count.Tally{}
		from := time.Now()
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.Seen, classify.CaughtUp)
			k.unreadable(from, name)
			time.Sleep(time.Minute)
		})
		d.refuses = 1
		live(t, d, tallies, false, func(k *keeper) {
			k.tell(name, classify.CaughtUp)
			time.Sleep(5 * time.Minute)
		})
		want := []string{"opened since 0", "closed since 0 until 2"}
		if diff := cmp.Diff(want, d.gaps(from)); diff != "" {
			t.Error(diff)
		}
	})
}
