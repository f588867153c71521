package logsink

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/journald/writer/journaltest"
)

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
