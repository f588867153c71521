package chronicle

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
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

// The classifier tells of a gap as the tests above do.
func TestGapOfTheClassifier(t *testing.T) {
	for _, tt := range []struct {
		name     string
		complete bool // the journal had everything
		want     []string
	}{
		{"all recovered", true, []string{"opened since 5", "closed since 5 until 6"}},
		{"the journal lacks something", false, []string{"opened since 5", "closed since 5 until 6, at least"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC))) // an earlier time is not trusted
				d, from := &disk{boot: "b"}, time.Now()
				updates := make(chan decode.Update)
				snapshot := func(unit string, run byte, about bus.Account) {
					about.Boot, about.Clock = "b", 100*uint64(run)
					updates <- decode.Update{
						Kind: decode.Snapshot, Unit: unit, Time: time.Now(), Account: about,
						Properties: decode.Properties{LoadState: "loaded", ActiveState: "active", SubState: "running", Result: "success", Invocation: decode.Invocation{run}, Entered: 10 * uint64(run)},
					}
				}
				go func() {
					defer close(updates)
					snapshot(name, 1, bus.Account{Cursor: "1", Complete: true})
					snapshot(other, 2, bus.Account{Cursor: "1", Complete: true})
					time.Sleep(5 * time.Minute)
					opened := time.Now()
					snapshot(name, 3, bus.Account{Cursor: "2", Unread: true, Opened: opened})
					snapshot(other, 2, bus.Account{Cursor: "2", Unread: true, Opened: opened})
					time.Sleep(time.Minute)
					if tt.complete {
						runs := []records.Run{{Invocation: records.Invocation{1}, Begun: from, Clock: 1, Ended: opened, Result: "signal", Code: 2, Status: 9}, {Invocation: records.Invocation{3}, Begun: opened, Clock: 20}}
						updates <- decode.Update{Kind: decode.Past, Unit: name, Time: time.Now(), Account: bus.Account{Boot: "b", Runs: runs, NewRuns: 2}}
					}
					snapshot(name, 3, bus.Account{Cursor: "3", Complete: tt.complete})
					snapshot(other, 2, bus.Account{Cursor: "3", Complete: tt.complete})
				}()
				log := logrus.New()
				log.SetOutput(io.Discard)
				stage := New(log, func() Opened { return d.open(t) }, nil)
				stage.boot, stage.clock = d.boot, func() uint64 { return uint64(time.Now().UnixMicro()) }
				g := pipeline.New(pipelinetest.NewNotifier(0))
				transitions := pipeline.Add(g, "classify", pipeline.Source(g, "world", pipelinetest.Feed(updates)), classify.New(nil, func() {}))
				var told []store.Record
				pipeline.Sink(g, "told", pipeline.Add(g, "chronicle", pipeline.Add(g, "count", transitions, count.New(log, nil, count.Now())), stage), pipelinetest.Collect(&told))
				if err := g.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, d.gaps(from)); diff != "" {
					t.Errorf("%s\n%q", diff, d.lines())
				}
				if sum := d.sums(t)[name]; tt.complete && sum.Crashes != 1 {
					t.Errorf("%+v", sum)
				}
			})
		})
	}
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
