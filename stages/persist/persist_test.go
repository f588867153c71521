package persist

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// generation returns a state that holds its own number, so that a test recognizes it.
func generation(n uint64) map[string]*count.Tally {
	units := make(map[string]*count.Tally)
	for _, unit := range []string{"a.service", "b.service", `c\x2dd@1.service`} {
		units[unit] = &count.Tally{Unit: unit, State: "active", Starts: n}
	}
	return units
}

// world is the surroundings of a stage under test: a source of events, a store that can
// fail, a log and a service manager. It records what they receive.
type world struct {
	events []timed
	store  Store
	broken func(since time.Duration) error // returns the error of a save; may be nil
	noCopy error                           // the error of KeepRemoved
	lost   error                           // the error of Lost
	slow   time.Duration                   // how long a save takes
	known  map[string]*count.Tally
	fails  time.Duration // when another sink fails; 0 for never

	watchdog time.Duration

	begun         time.Time
	saved, logged []string
	manager       *pipelinetest.Notifier
}

// A timed event comes at its time.
type timed = pipelinetest.Cue[count.Event]

func (w *world) since() time.Duration { return time.Since(w.begun) }

// Save and the methods below make world a Store.
func (w *world) Save(units map[string]*count.Tally) error {
	var parts []string
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		parts = append(parts, fmt.Sprintf("%s=%d", unit, units[unit].Starts))
	}
	line := fmt.Sprintf("%v %s", w.since(), strings.Join(parts, " "))
	time.Sleep(w.slow)
	if w.broken != nil {
		if err := w.broken(w.since()); err != nil {
			w.saved = append(w.saved, line+" fails")
			return err
		}
	}
	w.saved = append(w.saved, line)
	return nil
}

func (w *world) KeepRemoved() error {
	w.saved = append(w.saved, fmt.Sprintf("%v copy", w.since()))
	return w.noCopy
}

func (w *world) Lost() error { return w.lost }

// Levels and Fire make world a logrus.Hook.
func (w *world) Levels() []logrus.Level { return logrus.AllLevels }
func (w *world) Fire(e *logrus.Entry) error {
	w.logged = append(w.logged, fmt.Sprintf("%v %v %s %v", w.since(), e.Level, e.Message, e.Data))
	return nil
}

// statuses returns each STATUS= with the whole seconds of its time.
func (w *world) statuses() []string {
	statuses := w.manager.Statuses()
	for i, line := range statuses {
		at, text, _ := strings.Cut(line, " ")
		if since, err := time.ParseDuration(at); err == nil {
			statuses[i] = fmt.Sprintf("%v %s", since.Truncate(time.Second), text)
		}
	}
	return statuses
}

// run runs the stage in this world until stop, in virtual time.
func (w *world) run(t *testing.T, stop time.Duration) error {
	t.Helper()
	w.begun = time.Now()
	log := logrus.New()
	log.SetOutput(t.Output())
	log.AddHook(w)
	if w.store == nil {
		w.store = w
	}
	w.manager = pipelinetest.NewNotifier(w.watchdog)
	g := pipeline.New(w.manager)
	events := pipeline.Source(g, "world", pipelinetest.PlayAt(w.events...))
	pipeline.Sink(g, "persist", events, New(log, w.store, w.known, time.Second, 10*time.Second))
	if w.fails > 0 {
		fail := make(chan error, 1)
		time.AfterFunc(w.fails, func() { fail <- errors.New("no ink") })
		pipeline.Sink(g, "other", events, pipelinetest.Each(func(count.Event) {}).FailOn(fail))
	}
	ctx, cancel := context.WithTimeout(t.Context(), stop)
	defer cancel()
	return g.Run(ctx)
}

// changed returns an event of a unit that then has these starts and crashes.
func changed(at time.Duration, unit string, starts, crashes uint64) timed {
	return timed{At: at, Message: count.Event{
		Transition: classify.Transition{Kind: classify.Started, Unit: unit},
		Tally:      &count.Tally{Unit: unit, State: "active", Starts: starts, Crashes: crashes},
	}}
}

func forgotten(at time.Duration, unit string, starts uint64) timed {
	e := changed(at, unit, starts, 0)
	e.Message.Kind = classify.Forgotten
	return e
}

// caughtUp returns the event at the end of a gap, when all that was missed is counted.
func caughtUp(at time.Duration, unit string, starts, crashes uint64) timed {
	e := changed(at, unit, starts, crashes)
	e.Message.Kind = classify.CaughtUp
	return e
}

func TestRun(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	stream := func(gap time.Duration, n int) (events []timed) {
		for i := range n {
			events = append(events, changed(time.Duration(i)*gap, "a", uint64(i), 0))
		}
		return events
	}
	for _, tt := range []struct {
		name   string
		events []timed
		known  map[string]*count.Tally
		stop   time.Duration
		want   []string
	}{
		{"nothing changes", nil, generation(1), time.Hour, nil},
		{"one save for changes that come together", []timed{changed(0, "a", 1, 0), changed(500*ms, "b", 1, 0), changed(900*ms, "a", 2, 0)},
			nil, time.Minute, []string{"1.9s a=2 b=1"}},
		{"what was saved before stays", []timed{changed(0, "a", 1, 0)}, map[string]*count.Tally{"b": {Unit: "b", Starts: 7}},
			time.Minute, []string{"1s a=1 b=7"}},
		{"the deadline begins with the first unsaved change", stream(600*ms, 21), nil, time.Minute, []string{"10s a=16", "13s a=20"}},
		{"a crash is saved soon, with the restart that follows", []timed{changed(0, "a", 1, 0), changed(200*ms, "a", 1, 1), changed(300*ms, "a", 2, 1)},
			nil, time.Minute, []string{"600ms a=2"}},
		{"a crash that was missed is saved at once", []timed{changed(0, "a", 1, 0), caughtUp(5*s, "a", 2, 1)}, nil, time.Minute, []string{"1s a=1", "5.001s a=2"}},
		{"a crash alone", []timed{changed(0, "a", 1, 1)}, nil, time.Minute, []string{"300ms a=1"}},
		{"a restart that is slow", []timed{changed(0, "a", 1, 1), changed(5*s, "a", 2, 1)}, nil, time.Minute, []string{"300ms a=1", "6s a=2"}},
		{"a stop does not wait for a crash to come to rest", []timed{changed(0, "a", 1, 1)}, nil, 100 * ms, []string{"100ms a=1"}},
		{"a crash that was saved is none", []timed{changed(0, "a", 8, 3)}, map[string]*count.Tally{"a": {Unit: "a", Starts: 7, Crashes: 3}},
			time.Minute, []string{"1s a=8"}},
		{"a stop saves what is not saved", []timed{changed(0, "a", 1, 0), changed(5*s, "a", 2, 0)}, nil, 5500 * ms, []string{"1s a=1", "5.5s a=2"}},
		{"a stop saves nothing twice", []timed{changed(0, "a", 1, 0)}, nil, 5 * s, []string{"1s a=1"}},
		{"units are removed together, with one copy", []timed{changed(0, "a", 1, 0), forgotten(5*s, "a.service", 2), forgotten(5*s, "b.service", 3)},
			generation(1), time.Minute, []string{`1s a=1 a.service=1 b.service=1 c\x2dd@1.service=1`,
				`6s a=1 a.service=2 b.service=3 c\x2dd@1.service=1`, "6s copy", `6s a=1 c\x2dd@1.service=1`}},
		{"removed at another time, with another copy", []timed{forgotten(0, "a.service", 1), forgotten(5*s, "b.service", 1)},
			generation(1), time.Minute, []string{`1s a.service=1 b.service=1 c\x2dd@1.service=1`, "1s copy", `1s b.service=1 c\x2dd@1.service=1`,
				`6s b.service=1 c\x2dd@1.service=1`, "6s copy", `6s c\x2dd@1.service=1`}},
		{"the copy has what was not saved before the removal", []timed{changed(0, "a", 7, 1), forgotten(100*ms, "a", 7)}, nil, time.Minute,
			[]string{"400ms a=7", "400ms copy", "400ms "}},
		{"and what it was before it came back", []timed{forgotten(0, "a.service", 4), changed(100*ms, "a.service", 1, 0), forgotten(200*ms, "a.service", 1)},
			generation(1), time.Minute, []string{`1.2s a.service=4 b.service=1 c\x2dd@1.service=1`, "1.2s copy", `1.2s b.service=1 c\x2dd@1.service=1`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{events: tt.events, known: tt.known}
				if err := w.run(t, tt.stop); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, w.saved); diff != "" {
					t.Errorf("saves (-want +got):\n%s", diff)
				}
				if w.logged != nil {
					t.Errorf("logged %q", w.logged)
				}
			})
		})
	}
}

// turns is a context that counts how often the loop of Run goes round.
type turns struct {
	context.Context
	n int
}

func (c *turns) Done() <-chan struct{} {
	c.n++
	return c.Context.Done()
}

// TestRunSleeps wants nothing to wake the stage while nothing happens.
func TestRunSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &turns{Context: t.Context()}
		events, done := make(chan []count.Event), make(chan error)
		s := New(logrus.New(), &world{}, nil, time.Second, 10*time.Second)
		go func() { done <- s.Run(ctx, &port{In: events}) }()
		events <- []count.Event{changed(0, "a", 1, 0).Message}
		time.Sleep(time.Hour)
		synctest.Wait()
		if most := 4; ctx.n > most { // at the start, after the event, when the save is due, after the save
			t.Errorf("%d turns, want at most %d", ctx.n, most)
		}
		close(events)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAbortSaves wants all counts to be saved when another stage fails.
func TestAbortSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 0)}, fails: 500 * time.Millisecond}
		if err := w.run(t, time.Minute); err == nil || err.Error() != "other: no ink" {
			t.Errorf("Run: %v", err)
		}
		if diff := cmp.Diff([]string{"500ms a=1"}, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
	})
}

func TestNoCopyOfRemovedUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{forgotten(0, "a.service", 1)}, known: generation(1), noCopy: errors.New("no space")}
		if err := w.run(t, time.Minute); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{`1s a.service=1 b.service=1 c\x2dd@1.service=1`, "1s copy", `1s b.service=1 c\x2dd@1.service=1`}, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
		want := []string{"1s warning units are removed from the state without a copy map[error:no space]"}
		if diff := cmp.Diff(want, w.logged); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// TestCopyOfRemovedUnitsWaits has a store that fails at first. The copy of the removed
// units is kept as soon as a save succeeds.
func TestCopyOfRemovedUnitsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{forgotten(0, "a", 7), forgotten(2500*time.Millisecond, "b", 8)}}
		w.broken = func(since time.Duration) error {
			if since < 4*time.Second {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, time.Minute); err != nil {
			t.Fatal(err)
		}
		want := []string{"1s a=7 fails", "2s a=7 fails", "4s a=7 b=8", "4s copy", "4s "}
		if diff := cmp.Diff(want, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
	})
}
