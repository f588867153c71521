package logsink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer/journaltest"
)

// TestRunQuotes wants a line about a failed restart to wait a bounded time for the message of
// systemd, and to quote a bounded part of it. Other lines do not wait.
func TestRunQuotes(t *testing.T) {
	const advice = "[ERROR] %s:  systemd could not restart it, and gave up: it is masked (systemctl unmask '%[1]s', systemctl start '%[1]s')"
	line := func(unit, quote string) string { return fmt.Sprintf(advice, unit) + quote + "\n" }
	for _, tt := range []struct {
		name  string
		takes time.Duration
		said  string
		quote string
		after time.Duration // when the line is in the file
	}{
		{"said", 30 * time.Millisecond, "Unit a.service is masked.", `; systemd says: "Unit a.service is masked."`, 30 * time.Millisecond},
		{"nothing is said", time.Second, "", "", time.Second},
		{"too late", time.Hour, "Unit a.service is masked.", "", quoteLimit},
		{"not printable", 0, "a\n2025-07-07 - [INFO] b\x1b[2J\xff", `; systemd says: "a\n2025-07-07 - [INFO] b\x1b[2J\xff"`, 0},
		{"too long", 0, strings.Repeat("é", 200), `; systemd says: "` + strings.Repeat("é", quoteSize/2) + `…"`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(Config{Quote: func(context.Context, *count.Event) string { time.Sleep(tt.takes); return tt.said }})
				err := w.run(t, func() {
					w.events <- event(classify.GaveUp, "a.service", cause(classify.Masked, 0, 0))
					w.events <- started("b.service", 1)
					synctest.Wait()
					if tt.after > 0 {
						w.wantFile(t, "[INFO] b.service:  Incrementing start counter -> 1\n")
					}
					time.Sleep(tt.after)
					synctest.Wait()
					want := []string{line("a.service", tt.quote)}
					if n := len(w.file()); n > 0 && strings.Contains(w.file()[0], "b.service") {
						want = slices.Insert(want, 0, "[INFO] b.service:  Incrementing start counter -> 1\n")
					} else {
						want = append(want, "[INFO] b.service:  Incrementing start counter -> 1\n")
					}
					w.wantFile(t, want...)
				})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour) // until no quotation is looked for any more
			})
		})
	}
}

// TestRunQuotesMany lets many restarts fail at once, with a slow journal. Each has its line
// soon, also if the monitor stops or is aborted.
func TestRunQuotesMany(t *testing.T) {
	const units = 3 * quotesMost
	for _, tt := range []struct {
		name string
		end  func(w *world)
		most time.Duration
	}{
		{"while it runs", func(*world) { time.Sleep(2 * quoteLimit) }, 2 * quoteLimit},
		{"at a stop", func(*world) {}, 2 * quoteLimit},
		{"at an abort", func(w *world) { w.other <- fmt.Errorf("no ink") }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(Config{Quote: func(context.Context, *count.Event) string { time.Sleep(time.Hour); return "" }})
				_ = w.run(t, func() {
					for i := range units {
						w.events <- event(classify.GaveUp, fmt.Sprintf("%d.service", i))
					}
					synctest.Wait() // an abort loses events that have not reached the sink
					tt.end(w)
				})
				if took := time.Since(w.begun); took > tt.most {
					t.Errorf("it took %v, want at most %v", took, tt.most)
				}
				if n := len(w.file()); n != units {
					t.Errorf("%d lines, want %d", n, units)
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// TestQuoteField wants the quotation in a field of its own in the journal.
func TestQuoteField(t *testing.T) {
	d := journaltest.Start(t)
	s := New(Config{Journal: journalOf(t, d), Notes: NewNotes(nil)})
	e := event(classify.GaveUp, "a.service", cause(classify.Masked, 0, 0))
	for _, said := range []string{"", "Unit a.service is masked."} {
		s.putQuoted(&e, said)
		s.Journal.Retry()
		if got := d.Read()[0]; got["MESSAGE_ID"] != idNoRestart || got["MONITOR_QUOTE"] != said {
			t.Errorf("the entry is %v, want the quotation %q", got, said)
		}
	}
}

// TestRefine wants the line to say what to do according to the message of systemd, if that
// is about this unit.
func TestRefine(t *testing.T) {
	const failed = "Failed to schedule restart job: Unit "
	for said, want := range map[string]string{
		failed + "a.service not found.":                    classify.NotFound,
		failed + "a.service is masked.":                    classify.Masked,
		failed + "a.service has a bad unit file setting.":  classify.BadSetting,
		failed + "b.service not found.":                    "resources",
		failed + "aa.service is masked.":                   "resources",
		"Dependency failed for a.service.":                 "resources",
		failed + "a.service has what no systemd says yet.": "resources",
		"": "resources",
	} {
		e := event(classify.GaveUp, "a.service", cause("resources", 0, 0))
		if refine(&e, said); e.Cause.Result != want {
			t.Errorf("%q: %s, want %s", said, e.Cause.Result, want)
		}
		alias := event(classify.GaveUp, "alias.service", cause("resources", 0, 0))
		alias.Life = &classify.Life{Name: "a.service"}
		if refine(&alias, said); alias.Cause.Result != want {
			t.Errorf("alias, %q: %s, want %s", said, alias.Cause.Result, want)
		}
	}
}
