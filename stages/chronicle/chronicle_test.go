package chronicle

import (
	"context"
	"io"
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
)

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
		n := e.Times()
		if t.Restarts += n; e.Missed {
			t.Starts, t.Unknown = t.Starts+n, t.Unknown+n
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
	d.service = pipelinetest.NewNotifier(0)
	g := pipeline.New(d.service)
	in := pipeline.Source(g, "world", pipelinetest.Feed(events))
	log := logrus.New()
	log.SetOutput(io.Discard)
	ended, writes := d.records, d.writes // what is written after a kill is taken back
	known := map[string]*count.Tally{}
	for unit, tally := range tallies {
		known[unit] = &tally
	}
	stage := New(log, func() Opened {
		if d.refuses > 0 {
			d.refuses--
			return Opened{}
		}
		return d.open(t)
	}, known)
	if d.saver != nil {
		stage.Outlast(d.saver)
	}
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
