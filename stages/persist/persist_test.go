package persist

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

// generation returns a state that holds its own number, so that a test recognizes it.
func generation(n uint64) map[string]*count.Tally {
	units := make(map[string]*count.Tally)
	for _, unit := range []string{"a.service", "b.service", `c\x2dd@1.service`} {
		units[unit] = &count.Tally{Unit: unit, State: "active", Starts: n}
	}
	return units
}

func open(t *testing.T, path string) *statefile.File {
	t.Helper()
	f, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// loaded loads a state file that must exist and be undamaged.
func loaded(t *testing.T, f *statefile.File) map[string]*count.Tally {
	t.Helper()
	units, damage, err := f.Load()
	if err != nil || damage != nil {
		t.Fatalf("Load: damage %v, error %v", damage, err)
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

// TestRunFails has a store that always fails. The stage tries again less and less often,
// reports it at most once a minute and in the status, and does not stop the monitor.
func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 0), changed(200*time.Second, "a", 2, 1)}}
		w.broken = func(since time.Duration) error {
			if since < 230*time.Second {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1s a=1 fails", "2s a=1 fails", "4s a=1 fails", "8s a=1 fails", "16s a=1 fails", "32s a=1 fails",
			"1m4s a=1 fails", "2m4s a=1 fails", "3m4s a=1 fails", "4m4s a=2",
		}
		if diff := cmp.Diff(want, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
		logged := []string{
			"1s error state is not saved; monitoring goes on map[error:no space retry:1s]",
			"1m4s error state is not saved; monitoring goes on map[error:no space retry:1m0s]",
			"2m4s error state is not saved; monitoring goes on map[error:no space retry:1m0s]",
			"3m4s error state is not saved; monitoring goes on map[error:no space retry:1m0s]",
			"4m4s info state is saved again map[failed_for:4m3s]",
		}
		if diff := cmp.Diff(logged, w.logged); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		since := w.begun.Add(time.Second).Format("15:04:05")
		notified := []string{"1s cannot save state since " + since, "4m4s ", "10m0s saving and stopping"}
		if diff := cmp.Diff(notified, w.statuses()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// TestRunFailsNowAndThen has a store that fails every other time. It is reported no more
// often than one that always fails. A recovery is reported only if its failure was.
func TestRunFailsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		for i := range uint64(9) {
			w.events = append(w.events, changed(time.Duration(i)*5*time.Second, "a", i+1, 0))
		}
		failed := false
		w.broken = func(time.Duration) error {
			if failed = !failed; failed {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1s error state is not saved; monitoring goes on map[error:no space retry:1s]",
			"2s info state is saved again map[failed_for:1s]",
		}
		if diff := cmp.Diff(want, w.logged); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// TestRunSlowDisk has a slow disk. During a save the stage goes on to receive changes and
// to answer probes. The next save has the changes.
func TestRunSlowDisk(t *testing.T) {
	crash := func(at time.Duration, n uint64) timed { return changed(at, "a", n, n) }
	const s = time.Second
	for _, tt := range []struct {
		name     string
		slow     time.Duration
		events   []timed
		stop     time.Duration
		saved    []string
		logged   []string
		notified []string
	}{
		{
			"two fsync(2) of 5 s", 10 * s, []timed{crash(0, 1), crash(s, 2), crash(2*s, 3), crash(11*s, 4)}, 55 * s,
			[]string{"300ms a=1", "10.3s a=3", "20.3s a=4"}, nil, []string{"55s saving and stopping"},
		},
		{
			"longer than the watchdog waits", 40 * s, []timed{crash(s, 1), crash(2*s, 2)}, 115 * s,
			[]string{"1.3s a=1", "41.3s a=2"},
			[]string{
				"16.3s error state is not saved; monitoring goes on map[error:the disk does not answer]",
				"41.3s info state is saved again map[failed_for:40s]",
				"1m16.3s error state is not saved; monitoring goes on map[error:the disk does not answer]", // a minute after the first
				"1m21.3s info state is saved again map[failed_for:40s]",
			},
			[]string{"16s cannot save state since 1s", "41s ", "56s cannot save state since 41s", "1m21s ", "1m55s saving and stopping"},
		},
		{
			"stopped meanwhile", 4 * s, []timed{crash(0, 1), crash(s, 2)}, 2 * s,
			[]string{"300ms a=1", "4.3s a=2"}, nil, []string{"2s saving and stopping"},
		},
		{
			"stopped meanwhile, with nothing else to save", 4 * s, []timed{crash(0, 1)}, 2 * s,
			[]string{"300ms a=1"}, nil, []string{"2s saving and stopping"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{events: tt.events, slow: tt.slow, watchdog: 30 * s}
				if err := w.run(t, tt.stop); err != nil {
					t.Fatal(err)
				}
				notified := w.statuses()
				for i, status := range notified { // replace the time of day by the time since the start
					for n := range time.Duration(60) {
						status = strings.ReplaceAll(status, w.begun.Add(n*s).Format("15:04:05"), (n * s).String())
					}
					notified[i] = status
				}
				for _, d := range []string{
					cmp.Diff(tt.saved, w.saved), cmp.Diff(tt.logged, w.logged), cmp.Diff(tt.notified, notified),
				} {
					if d != "" {
						t.Errorf("saves, log or status (-want +got):\n%s", d)
					}
				}
			})
		})
	}
}

// TestReady wants READY=1 when the new units are saved, or when the disk fails.
func TestReady(t *testing.T) {
	seen := changed(0, "a", 0, 0)
	seen.Message.Kind = classify.Seen
	for _, tt := range []struct {
		name   string
		slow   time.Duration
		broken error
		want   time.Duration
	}{
		{"two fsync(2) of 5 s", 10 * time.Second, nil, 10 * time.Second},
		{"the disk does not answer", 200 * time.Second, nil, slow},
		{"a disk that is full", time.Second, errors.New("no space"), time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{events: []timed{seen}, slow: tt.slow, broken: func(time.Duration) error { return tt.broken }}
				err := w.run(t, 199*time.Second)
				if (err == nil) != (tt.broken == nil) {
					t.Errorf("Run: %v", err)
				}
				if ready, _ := w.manager.Ready(); ready < tt.want || ready > tt.want+time.Second {
					t.Errorf("ready after %v, want %v", ready, tt.want)
				}
			})
		})
	}
}

// TestReadyWithAll wants all units of the start to be saved before READY=1, also if each
// is saved before the next one comes.
func TestReadyWithAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const units = 3 * burst
		w := &world{slow: 5 * time.Millisecond}
		var all []string
		for i := range units {
			seen := changed(time.Duration(i)*6*time.Millisecond, fmt.Sprintf("%02d", i), 0, 0)
			seen.Message.Kind = classify.Seen
			w.events = append(w.events, seen)
			all = append(all, fmt.Sprintf("%02d=0", i))
		}
		if err := w.run(t, 50*time.Second); err != nil {
			t.Fatal(err)
		}
		const last = units*6*time.Millisecond - 6*time.Millisecond + gap
		want := fmt.Sprintf("%v %s", last, strings.Join(all, " "))
		if got := w.saved[len(w.saved)-1]; len(w.saved) != units || got != want {
			t.Errorf("the last of %d saves is %q, want %q", len(w.saved), got, want)
		}
	})
}

// TestFirstsTogether wants one save for units that are first seen together.
func TestFirstsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: 5 * time.Millisecond}
		for i := range 3 {
			seen := changed(time.Duration(i)*gap/2, fmt.Sprint(i), 0, 0)
			seen.Message.Kind = classify.Seen
			w.events = append(w.events, seen)
		}
		if err := w.run(t, 50*time.Second); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"2ms 0=0 1=0 2=0"}, w.saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// TestFirstIsOwedWhateverItIs lets READY=1 wait for the first event of a unit of any kind:
// a Latest edge may have replaced Seen by what came next.
func TestFirstIsOwedWhateverItIs(t *testing.T) {
	s := New(nil, nil, nil, time.Second, 10*time.Second)
	now := time.Now()
	s.take(&count.Event{
		Transition: classify.Transition{Kind: classify.Moved, Unit: "a"},
		Tally:      &count.Tally{Unit: "a", State: "active", Life: &classify.Life{ActiveState: "active"}},
	}, now)
	if !s.delaysReady(now) || s.pace.due().After(now.Add(gap)) {
		t.Errorf("READY=1 waits: %v, due in %v, want it to be saved at once", s.delaysReady(now), s.pace.due().Sub(now))
	}
}

// TestSlowSaveFails wants no change to be lost by a save that fails late, nor by one
// during which another stage fails.
func TestSlowSaveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 1), changed(time.Second, "b", 1, 0)}, slow: 500 * time.Millisecond, fails: 3400 * time.Millisecond}
		w.broken = func(since time.Duration) error {
			if since < 3*time.Second {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, time.Minute); err == nil || err.Error() != "other: no ink" {
			t.Errorf("Run: %v", err)
		}
		if diff := cmp.Diff([]string{"300ms a=1 fails", "1.8s a=1 b=1 fails", "3.4s a=1 b=1"}, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
	})
}

// TestStopFails wants the monitor to report changes that it cannot save at the stop.
func TestStopFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 0)}}
		w.broken = func(time.Duration) error { return errors.New("cannot save state: no space") }
		err := w.run(t, 500*time.Millisecond)
		if want := "persist: cannot save state: no space"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
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

// TestRunFindsTheStateGone removes the saved state of a stage that has nothing to do. The
// state is saved again once, and reported once.
func TestRunFindsTheStateGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	f := open(t, path)
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: f, events: []timed{changed(0, "a", 1, 0)}, watchdog: 30 * time.Second}
		time.AfterFunc(90*time.Second, func() { os.Remove(path); os.Remove(path + files.LockSuffix) })
		if err := w.run(t, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, f)["a"].Starts; got != 1 {
			t.Errorf("%d starts are saved, want 1", got)
		}
		if _, err := files.Hold(path); !errors.Is(err, files.ErrHeld) {
			t.Errorf("Hold: %v, want %v", err, files.ErrHeld)
		}
		if want := "error the saved state is gone; saving it again"; len(w.logged) != 1 || !strings.Contains(w.logged[0], want) || !strings.Contains(w.logged[0], path) {
			t.Errorf("logged %q, want once %q", w.logged, want)
		}
	})
}

// TestRunFile does the same with a real file. While its directory is gone, saves fail;
// when it is back, nothing is lost.
func TestRunFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := open(t, filepath.Join(dir, "s.json"))
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: f, events: []timed{changed(0, "a", 1, 0), changed(5*time.Second, "a", 2, 0)}}
		time.AfterFunc(3*time.Second, func() { os.Rename(dir, dir+".away") })
		time.AfterFunc(20*time.Second, func() { os.Rename(dir+".away", dir) })
		if err := w.run(t, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, f)["a"].Starts; got != 2 {
			t.Errorf("%d starts are saved, want 2", got)
		}
		want := []string{"6s error state is not saved", "21s info state is saved again"}
		if len(w.logged) == 2 && !strings.Contains(w.logged[0], "the directory "+dir+" is gone") {
			t.Errorf("logged %q, want it to say what is gone", w.logged[0])
		}
		if len(w.logged) != 2 || !strings.HasPrefix(w.logged[0], want[0]) || !strings.HasPrefix(w.logged[1], want[1]) {
			t.Errorf("logged %q, want %q", w.logged, want)
		}
	})
}
