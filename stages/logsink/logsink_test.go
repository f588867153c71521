package logsink

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer"
	"service-monitor/stages/journald/writer/journaltest"
)

// world is the surroundings of a sink under test: a source of events, a disk, a journald, a
// log and a service manager. It records what they receive.
type world struct {
	disk
	events chan count.Event
	other  chan error // makes another sink fail
	log    *logrus.Logger
	config Config

	zone     func() *time.Location // nil for the zone of this machine
	slow     time.Duration         // how long a write takes
	watchdog time.Duration

	begun   time.Time
	manager *pipelinetest.Notifier
	writes  atomic.Int64
}

// newWorld returns a world with an empty disk. A test in virtual time must call it inside of
// the synctest bubble.
func newWorld(c Config) *world {
	w := &world{disk: disk{space: -1}, events: make(chan count.Event), other: make(chan error), log: logrus.New(), config: c, begun: time.Now()}
	w.config.File = w
	w.config.Notes = NewNotes(c.Journal)
	if c.Debug == nil {
		w.config.Debug = func() bool { return false }
	}
	w.log.SetOutput(io.Discard)
	w.log.AddHook(w.config.Notes)
	return w
}

// Write makes world the log file.
func (w *world) Write(b []byte) (int, error) {
	time.Sleep(w.slow)
	w.writes.Add(1)
	return w.disk.Write(b)
}

// run runs a sink in this world while happen runs.
func (w *world) run(t *testing.T, happen func()) error {
	t.Helper()
	w.manager = pipelinetest.NewNotifier(w.watchdog)
	g := pipeline.New(w.manager)
	events := pipeline.Source(g, "world", pipelinetest.Feed(w.events))
	sink := New(w.config)
	if w.zone != nil {
		sink.stamp.local = w.zone
	}
	pipeline.Sink(g, "logsink", events, sink)
	pipeline.Sink(g, "other", events, pipelinetest.Each(func(count.Event) {}).FailOn(w.other))
	stop, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		happen()
		synctest.Wait()
	}()
	return g.Run(stop)
}

// file returns the lines of the file without their times.
func (w *world) file() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.text.String()) {
		if _, text, ok := strings.Cut(line, " - "); ok {
			line = text
		}
		lines = append(lines, line)
	}
	return lines
}

func (w *world) wantFile(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.file()); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func started(unit string, n uint64) count.Event {
	return event(classify.Started, unit, counts(n, 0, 0, 0))
}

func journalOf(t *testing.T, d *journaltest.Journald) *writer.Journal {
	t.Helper()
	j, err := writer.Open(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// TestRunZoneChanges changes the time zone. Each line has the time in the zone of the moment
// when it is written, also within the second of the change. For a thousand lines at once the
// sink asks for the zone once.
func TestRunZoneChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hour atomic.Int64
		asked := 0
		w := newWorld(Config{Summary: time.Minute})
		w.zone = func() *time.Location { asked++; return time.FixedZone("", int(hour.Load())*3600) }
		at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		start := func(unit string) { w.events <- event(classify.Started, unit, func(e *count.Event) { e.Time = at }) }
		err := w.run(t, func() {
			start("a.service")
			synctest.Wait()
			for range 2 {
				hour.Add(1)
				start("b.service")
				synctest.Wait()
			}
			hour.Add(1)
			time.Sleep(time.Minute + time.Second) // until after the summary
			hour.Add(1)
			w.log.WithTime(at).Warn("a note")
		})
		if err != nil {
			t.Error(err)
		}
		var begins []string
		for line := range strings.Lines(w.text.String()) {
			begins = append(begins, line[len("2026-07-01 "):len("2026-07-01 12:00")])
		}
		summary := time.Now().UTC().Add(3*time.Hour - time.Second).Format("15:04")
		if diff := cmp.Diff([]string{"12:00", "13:00", "14:00", summary, "16:00"}, begins); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		if asked > len(begins) {
			t.Errorf("asked for the zone %d times for %d lines", asked, len(begins))
		}
	})
}

// TestRunWritesEverywhere wants each event at once in the file, on the console and in the
// journal.
func TestRunWritesEverywhere(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		var console bytes.Buffer
		w := newWorld(Config{Journal: j, Console: &console})
		err := w.run(t, func() {
			w.events <- event(classify.Crashed, "a.service", cause("exit-code", 1, 3), counts(1, 0, 1, 0))
			synctest.Wait()
			w.wantFile(t, "[ERROR] a.service: **CRASH** (ExitCode: 3, Signal: none, Result: exit-code)\n",
				"[INFO] a.service:  Incrementing crash counter -> 1\n")
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.text.String(), console.String()); diff != "" {
			t.Errorf("console (-file +console):\n%s", diff)
		}
	})
	entry := func(message, priority, id string) map[string]string {
		return map[string]string{
			"MESSAGE": message, "PRIORITY": priority, "MESSAGE_ID": id, "SYSLOG_IDENTIFIER": "service-monitor",
			"MONITOR_UNIT": "a.service", "MONITOR_FROM": "", "MONITOR_TO": "", "MONITOR_SUB_STATE": "", "MONITOR_INVOCATION_ID": "",
			"MONITOR_STARTS": "1", "MONITOR_STOPS": "0", "MONITOR_CRASHES": "1", "MONITOR_UNKNOWN": "0", "MONITOR_RESTARTS": "0",
			"MONITOR_RESULT": "exit-code", "MONITOR_EXIT_CODE": "3", "MONITOR_SIGNAL": "none",
		}
	}
	want := []map[string]string{
		entry("a.service: **CRASH** (ExitCode: 3, Signal: none, Result: exit-code)", "3", "a9c7ce28cc9d4a2baf64dd96586ff35a"),
		entry("a.service:  Incrementing crash counter -> 1", "6", "503ff7240f654eb2ab616c718121229e"),
	}
	if diff := cmp.Diff(want, d.Read()); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

func TestRunDebug(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		debug := false
		w := newWorld(Config{Journal: j, Debug: func() bool { return debug }})
		sub := func(to string) count.Event { return event(classify.Moved, "a.service", states("active", "active", to)) }
		err := w.run(t, func() {
			w.events <- sub("exited")
			synctest.Wait()
			debug = true // as a reload may change it
			w.events <- sub("running")
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[DEBUG] a.service:  active        -> active        (SubState: running)\n")
	})
	if got := d.Read(); len(got) != 1 || got[0]["PRIORITY"] != "7" || got[0]["MONITOR_SUB_STATE"] != "running" {
		t.Errorf("journal: %q", got)
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

// TestRunSleeps wants nothing to wake the sink while nothing happens.
func TestRunSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Summary: time.Minute})
		ctx := &turns{Context: t.Context()}
		events, done := make(chan []count.Event), make(chan error)
		go func() { done <- New(w.config).Run(ctx, &port{In: events}) }()
		events <- []count.Event{started("a.service", 1)}
		time.Sleep(time.Hour)
		synctest.Wait()
		if ctx.n != 5 { // at the start, after the event, after the summary, and after the write of each
			t.Errorf("%d turns", ctx.n)
		}
		close(events)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
