package logsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// TestRunNotes wants the daemon's own messages in the file and in the journal.
func TestRunNotes(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		w.log.Info("before the sink runs")
		err := w.run(t, func() {
			w.events <- started("a.service", 1)
			synctest.Wait()
			fields := logrus.Fields{"error": errors.New("no\nspace"), "retry": time.Second}
			w.log.WithFields(fields).Error("state is not saved")
			fields["retry"] = "is not shared"
			w.log.Debug("is not wanted")
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[INFO] before the sink runs\n", "[INFO] a.service:  Incrementing start counter -> 1\n",
			`[ERROR] state is not saved (error: no\nspace, retry: 1s)`+"\n")
	})
	var got []string
	for _, e := range d.Read() {
		if e["MONITOR_UNIT"] == "" {
			got = append(got, e["PRIORITY"]+" "+e["MESSAGE"])
		}
	}
	if diff := cmp.Diff([]string{"6 before the sink runs", `3 state is not saved (error: no\nspace, retry: 1s)`}, got); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

// TestNotesNeverWait wants a caller who logs never to wait for the sink. The file says that
// notes are missing.
func TestNotesNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{})
		for i := range noteBacklog + 3 { // the sink does not run, so waiting would be a deadlock
			w.log.Info(i)
		}
		if err := w.run(t, func() {}); err != nil {
			t.Fatal(err)
		}
		got := w.file()
		if len(got) != noteBacklog+1 || got[0] != "[INFO] 0\n" || got[noteBacklog] != fmt.Sprintf("[INFO] %d\n", noteBacklog-1) {
			t.Errorf("%d lines: %q", len(got), got)
		}
		if got[1] != "[WARNING] lines of the monitor itself are missing here\n" {
			t.Errorf("the loss is reported as %q", got[1])
		}
	})
}

// TestRunSummary wants a summary after a change, and none otherwise.
func TestRunSummary(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j, Summary: time.Minute})
		err := w.run(t, func() {
			w.events <- event(classify.Seen, "a.service", states("", "inactive", "dead"))
			time.Sleep(time.Hour)
			w.events <- started("a.service", 1)
			time.Sleep(59 * time.Second)
			w.events <- started("a.service", 2)
			time.Sleep(24 * time.Hour)
			w.events <- event(classify.Stopped, "a.service", counts(2, 1, 0, 0))
			time.Sleep(30 * time.Second)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[INFO] a.service:  first seen    -> inactive      (SubState: dead)\n",
			"[INFO] a.service:  Incrementing start counter -> 1\n", "[INFO] a.service:  Incrementing start counter -> 2\n",
			"[INFO] summary of the last 60 s: 2 starts\n", "[INFO] a.service:  Incrementing stop counter -> 1\n")
	})
	want := map[string]string{
		"MESSAGE": "summary of the last 60 s: 2 starts", "PRIORITY": "6", "MESSAGE_ID": "89829bf77f324bf68076edaca0968f38", "SYSLOG_IDENTIFIER": "service-monitor",
	}
	if got := d.Read(); len(got) != 5 || !cmp.Equal(want, got[3]) {
		t.Errorf("journal: %q", got)
	}
}

func TestRunNoSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{})
		err := w.run(t, func() {
			w.events <- started("a.service", 1)
			time.Sleep(time.Hour)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[INFO] a.service:  Incrementing start counter -> 1\n")
	})
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

// TestRunFullDisk fills the disk within a line. When there is room again, all lines are
// complete in the file. The journal and the status have reported the error.
func TestRunFullDisk(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		err := w.run(t, func() {
			time.Sleep(time.Second)
			w.give(len("2025-07-07 10:15:23 - [INFO] a"))
			w.events <- started("a.service", 1)
			w.events <- started("b.service", 1)
			time.Sleep(149500 * time.Millisecond) // between two retries
			w.give(-1)
			time.Sleep(2 * time.Second)
			w.wantFile(t, "[INFO] a\n", "[INFO] a.service:  Incrementing start counter -> 1\n", "[INFO] b.service:  Incrementing start counter -> 1\n")
		})
		if err != nil {
			t.Fatal(err)
		}
		since := w.begun.Add(time.Second).Format("15:04:05")
		want := []string{"1s cannot write the log file since " + since, "2m31s ", "2m32.5s saving and stopping"}
		if diff := cmp.Diff(want, w.manager.Statuses()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
	var got []string
	for _, e := range d.Read() {
		if e["MONITOR_UNIT"] == "" {
			got = append(got, e["MESSAGE_ID"]+" "+e["MESSAGE"])
		}
	}
	const failed = idFile + " cannot write the log file; monitoring goes on (error: no space)"
	if diff := cmp.Diff([]string{failed, failed, failed}, got); diff != "" {
		t.Errorf("journal, a line a minute (-want +got):\n%s", diff)
	}
}

// TestRunSlowDisk has a slow disk. The sink goes on to take events, to write to the journal
// and to answer probes. The lines reach the file late and in order.
func TestRunSlowDisk(t *testing.T) {
	const s, events = time.Second, 3 // as many as fit into the socket of a journald that does not read
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf("[INFO] a.service:  Incrementing start counter -> %d\n", i+1))
	}
	for _, tt := range []struct {
		name     string
		slow     time.Duration
		stop     time.Duration
		notified []string
		entry    string // an entry that only the journal has
	}{
		{"5 s", 5 * s, 55 * s, []string{"55s saving and stopping"}, ""},
		{"longer than the watchdog waits", 39 * s, 115 * s,
			[]string{"15s cannot write the log file since 0s", "39s ", "54s cannot write the log file since 39s", "1m18s ", "1m55s saving and stopping"},
			"cannot write the log file; monitoring goes on (error: the disk does not answer)"},
		{"stopped meanwhile", 4 * s, 2 * s, []string{"2s saving and stopping"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := journaltest.Start(t)
			j := journalOf(t, d)
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(Config{Journal: j})
				w.slow, w.watchdog = tt.slow, 30*s
				err := w.run(t, func() {
					for i := range uint64(events) {
						w.events <- started("a.service", i+1)
					}
					if waited := time.Since(w.begun); waited > 0 {
						t.Errorf("the events had to wait for %v", waited)
					}
					time.Sleep(tt.stop)
				})
				if err != nil {
					t.Fatal(err)
				}
				w.wantFile(t, lines...)
				notified := w.manager.Statuses()
				for i, status := range notified { // replace the time of day by the time since the start
					for n := range time.Duration(60) {
						status = strings.ReplaceAll(status, w.begun.Add(n*s).Format("15:04:05"), (n * s).String())
					}
					notified[i] = status
				}
				if diff := cmp.Diff(tt.notified, notified); diff != "" {
					t.Errorf("status (-want +got):\n%s", diff)
				}
			})
			entries := d.Read()
			if len(entries) < events || entries[events-1]["MONITOR_STARTS"] != fmt.Sprint(events) {
				t.Errorf("%d entries are in the journal, want %d at once", len(entries), events)
			}
			if got := entries[len(entries)-1]["MESSAGE"]; len(entries) > events && got != tt.entry {
				t.Errorf("the journal has %q too, want %q", got, tt.entry)
			}
		})
	}
}

// TestRunBurst wants no line to be lost in a burst if the disk is only busy, and events to be
// held up only for a moment if it stalls.
func TestRunBurst(t *testing.T) {
	const burst = 10000
	for _, tt := range []struct {
		name string
		slow time.Duration
		wait time.Duration // how long the events are held up
		cut  bool
	}{
		{"busy", 150 * time.Millisecond, time.Second, false},
		{"stalled", 5 * time.Second, patience, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(Config{})
				w.slow = tt.slow
				err := w.run(t, func() {
					for i := range uint64(burst) {
						w.events <- started("a.service", i+1)
					}
					if waited := time.Since(w.begun); waited > tt.wait {
						t.Errorf("the events had to wait for %v, want at most %v", waited, tt.wait)
					}
					time.Sleep(time.Minute)
				})
				if err != nil {
					t.Fatal(err)
				}
				lines := w.file()
				last := lines[len(lines)-1]
				if cut := strings.Contains(last, "lines are missing here"); cut != tt.cut || !cut && len(lines) != burst {
					t.Errorf("%d lines of %d are in the file, the last is %q", len(lines), burst, last)
				}
			})
		})
	}
}

// TestRunCut writes more than the backlog. The file says how many lines are missing as soon
// as the disk works again, even if no other event comes.
func TestRunCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var console strings.Builder
		w := newWorld(Config{Console: &console})
		const events = 6000
		err := w.run(t, func() {
			w.give(0)
			for i := range uint64(events) {
				w.events <- started("a.service", i+1)
			}
			synctest.Wait()
			w.give(-1)
			time.Sleep(retryEvery)
			synctest.Wait()
			got := w.file()
			kept := len(got) - 1
			if want := fmt.Sprintf("[WARNING] the log file took no more: %d lines are missing here\n", events-kept); kept < 500 || got[kept] != want {
				t.Errorf("the last of %d lines is %q, want %q", len(got), got[kept], want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(console.String(), "\n"); got != events {
			t.Errorf("%d lines are on the console, want %d", got, events)
		}
	})
}

// TestRunStalledJournal wants a journald that does not read to hold nothing up, and to get all
// entries when it reads again.
func TestRunStalledJournal(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	var read []map[string]string
	const events = 600
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		err := w.run(t, func() {
			for i := range uint64(events) {
				w.events <- started("a.service", i+1)
			}
			synctest.Wait()
			if got := len(w.file()); got != events {
				t.Errorf("%d lines are in the file, want %d", got, events)
			}
			for range events { // each second as many as the socket holds
				read = append(read, d.Read()...)
				time.Sleep(retryEvery)
				synctest.Wait()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for i, e := range read {
		if want := fmt.Sprint(i + 1); e["MONITOR_STARTS"] != want {
			t.Fatalf("entry %d is %q, want %s starts", i, e, want)
		}
	}
	if len(read) != events {
		t.Errorf("%d entries are in the journal, want %d", len(read), events)
	}
}

// TestRunCollects wants entries to wait a moment for others, so that they reach the journal
// together. If there are many, or at the stop, they do not wait.
func TestRunCollects(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	var ended, lone, before, after, much int
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		send := func(n int) {
			for i := range uint64(n) {
				w.events <- started("a.service", i+1)
			}
			synctest.Wait()
		}
		err := w.run(t, func() {
			time.Sleep(time.Second) // until READY=1 is sent; before it entries do not wait
			send(1)
			lone = len(d.Read())
			time.Sleep(collect - 1)
			send(1)
			before = len(d.Read())
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			after = len(d.Read())
			send(many)
			much = len(d.Read())
			for range many { // the socket holds a few at a time
				time.Sleep(retryEvery)
				synctest.Wait()
				d.Read()
			}
			send(3)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	ended = len(d.Read())
	if lone != 0 || before != 0 || after != 2 || much == 0 || ended != 3 {
		t.Errorf("%d and %d entries came at once, want none; %d in time, want 2; %d of many, want some; %d at the end, want 3", lone, before, after, much, ended)
	}
}

// TestRunTellsAll wants the journal to get all entries at the stop. A journald that does not
// read delays the stop only for a moment.
func TestRunTellsAll(t *testing.T) {
	const events = 50
	for _, reads := range []bool{true, false} {
		d := journaltest.Start(t)
		j := journalOf(t, d)
		got := 0
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(Config{Journal: j})
			done := make(chan struct{})
			if reads {
				go func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(time.Millisecond):
							got += len(d.Read())
						}
					}
				}()
			}
			var ended time.Time
			err := w.run(t, func() {
				for i := range uint64(events) {
					w.events <- started("a.service", i+1)
				}
				ended = time.Now()
			})
			close(done)
			if took := time.Since(ended); err != nil || took > time.Second {
				t.Errorf("the end took %v (%v)", took, err)
			}
		})
		if got += len(d.Read()); reads && got != events || !reads && got == 0 {
			t.Errorf("journald, which reads %v, has %d entries, want %d", reads, got, events)
		}
	}
}

// TestRunRetriesNotes wants a note that journald did not take to be sent again soon, and not
// only with the next event.
func TestRunRetriesNotes(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		err := w.run(t, func() {
			d.Stop()
			w.log.Info("journald is being restarted")
			synctest.Wait()
			d.Restart()
			time.Sleep(retryEvery)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if got := d.Read(); len(got) != 1 || got[0]["MESSAGE"] != "journald is being restarted" {
		t.Errorf("journal: %q", got)
	}
}

// TestRunFinishes wants lines that the file did not take to be written at the stop, also if
// another stage has failed.
func TestRunFinishes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails bool
		want  string
	}{
		{"stop", false, "<nil>"},
		{"abort", true, "other: no ink"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(Config{})
				err := w.run(t, func() {
					w.give(len("2025-07-07 10:15:23 - [INFO] a"))
					w.events <- started("a.service", 1)
					synctest.Wait()
					w.give(-1)
					if tt.fails {
						w.other <- errors.New("no ink")
					}
				})
				if got := fmt.Sprint(err); got != tt.want {
					t.Errorf("Run: %s, want %s", got, tt.want)
				}
				w.wantFile(t, "[INFO] a\n", "[INFO] a.service:  Incrementing start counter -> 1\n")
			})
		})
	}
}

func TestFinishTakesNotes(t *testing.T) {
	w := newWorld(Config{})
	w.log.Info("the end")
	if err := New(w.config).finish(); err != nil {
		t.Fatal(err)
	}
	w.wantFile(t, "[INFO] the end\n")
}

func TestRunFinishFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{})
		err := w.run(t, func() {
			w.give(0)
			w.events <- started("a.service", 1)
		})
		if want := "logsink: cannot write the log file: no space"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
		}
	})
}
