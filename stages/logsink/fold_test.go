package logsink

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer"
	"service-monitor/stages/journald/writer/journaltest"
)

// after returns the event, but later by d.
func after(d time.Duration, e count.Event) count.Event {
	e.Time = e.Time.Add(d)
	return e
}

// A minute is the events of one minute.
type minute []count.Event

// crashes returns n crashes of a unit within minute m.
func crashes(unit string, m, n int, more ...func(*count.Event)) (all minute) {
	for i := range n {
		e := event(classify.Crashed, unit, append([]func(*count.Event){cause("exit-code", 1, 7), counts(0, 0, uint64(i+1), 0)}, more...)...)
		all = append(all, after(time.Duration(m)*time.Minute+time.Duration(i)*time.Second, e))
	}
	return all
}

// linesOf returns the lines that folds leave of these minutes.
func linesOf(first int, minutes ...minute) (lines []string) {
	f := folds{first: first}
	say := func(_ *count.Event, l line, more ...writer.Field) {
		text := string(l.text)
		for _, field := range more {
			text += " " + field.Key + "=" + field.Value
		}
		lines = append(lines, text)
	}
	for _, m := range minutes {
		for _, e := range m {
			for _, id := range ids(&e) {
				if id != "" && !f.keep(&e, id) {
					say(&e, line{level(&e, id), id, appendText(nil, &e, id, false)})
				}
			}
		}
		f.take(say)
	}
	return lines
}

func TestFolds(t *testing.T) {
	const crash, counter = "a.service: **CRASH** (ExitCode: 7, Signal: none, Result: exit-code)", "a.service:  Incrementing crash counter -> "
	for _, tt := range []struct {
		name    string
		first   int
		minutes []minute
		want    []string
	}{
		{"as many as are written", 2, []minute{crashes("a.service", 0, 2)},
			[]string{crash, counter + "1", crash, counter + "2"}},
		{"one more has nothing to be folded with", 2, []minute{crashes("a.service", 0, 3)},
			[]string{crash, counter + "1", crash, counter + "2", crash, counter + "3"}},
		{"more are folded, each kind by itself", 2, []minute{crashes("a.service", 0, 30)},
			[]string{crash, counter + "1", crash, counter + "2",
				crash + " (repeated 28 times in 28 s) MONITOR_REPEATED=28", counter + "30 (repeated 28 times in 28 s) MONITOR_REPEATED=28"}},
		{"in the next minute all are", 2, []minute{crashes("a.service", 0, 30), crashes("a.service", 1, 20)},
			[]string{crash, counter + "1", crash, counter + "2",
				crash + " (repeated 28 times in 28 s) MONITOR_REPEATED=28", counter + "30 (repeated 28 times in 28 s) MONITOR_REPEATED=28",
				crash + " (repeated 20 times in 50 s) MONITOR_REPEATED=20", counter + "20 (repeated 20 times in 50 s) MONITOR_REPEATED=20"}},
		{"until it has calmed down", 2, []minute{crashes("a.service", 0, 30), crashes("a.service", 1, 2), crashes("a.service", 2, 1)},
			[]string{crash, counter + "1", crash, counter + "2",
				crash + " (repeated 28 times in 28 s) MONITOR_REPEATED=28", counter + "30 (repeated 28 times in 28 s) MONITOR_REPEATED=28",
				crash + " (repeated 2 times in 32 s) MONITOR_REPEATED=2", counter + "2 (repeated 2 times in 32 s) MONITOR_REPEATED=2",
				crash, counter + "1"}},
		{"another unit is another matter", 1, []minute{append(crashes("a.service", 0, 3), crashes("b.service", 0, 1)...)},
			[]string{crash, counter + "1", "b.service: **CRASH** (ExitCode: 7, Signal: none, Result: exit-code)", "b.service:  Incrementing crash counter -> 1",
				crash + " (repeated 2 times in 2 s) MONITOR_REPEATED=2", counter + "3 (repeated 2 times in 2 s) MONITOR_REPEATED=2"}},
		{"another cause is another line", 1, []minute{append(crashes("a.service", 0, 1), crashes("a.service", 0, 1, cause("signal", 2, 9))...)},
			[]string{crash, counter + "1", "a.service: **CRASH** (ExitCode: none, Signal: 9 (SIGKILL), Result: signal)", counter + "1"}},
		{"so is one from the journal", 1, []minute{append(crashes("a.service", 0, 1), crashes("a.service", 0, 1, recovered)...)},
			[]string{crash, counter + "1", crash + " (recovered from the journal)", counter + "1 (recovered from the journal)"}},
		{"no folding", 0, []minute{crashes("a.service", 0, 3)},
			[]string{crash, counter + "1", crash, counter + "2", crash, counter + "3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, linesOf(tt.first, tt.minutes...)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFoldsBounded wants the number of remembered kinds to be bounded, and to be 0 after the
// storm.
func TestFoldsBounded(t *testing.T) {
	f := folds{first: 1}
	kept := 0
	for range 2 {
		for i := range 2 * foldKinds {
			if e := started(fmt.Sprintf("%d.service", i), 1); f.keep(&e, idStarted) {
				kept++
			}
		}
	}
	if f.kinds != foldKinds || kept != foldKinds {
		t.Errorf("%d kinds and %d lines kept, want %d", f.kinds, kept, foldKinds)
	}
	lines := 0
	for range 2 {
		f.take(func(*count.Event, line, ...writer.Field) { lines++ })
	}
	if f.any() || lines != foldKinds {
		t.Errorf("%d kinds are left and %d lines were written, want 0 and %d", f.kinds, lines, foldKinds)
	}
}

// TestFoldsLater wants periods of five minutes once a storm lasts, in which a kind has five times as
// many free lines, and periods of a minute again after it.
func TestFoldsLater(t *testing.T) {
	f := folds{first: 2}
	period := func(unit string, n int) (kept int) {
		for i := range n {
			if e := started(unit, uint64(i)); f.keep(&e, idStarted) {
				kept++
			}
		}
		return kept
	}
	for i := range foldsAtFirst {
		if f.period() != foldEvery {
			t.Fatalf("period %d lasts %v", i, f.period())
		}
		period("a.service", 30)
		f.take(func(*count.Event, line, ...writer.Field) {})
	}
	if kept := period("b.service", 12); f.period() != foldEveryLater || kept != 2 || period("a.service", 30) != 30 {
		t.Errorf("after %d periods, the next lasts %v, and %d lines of another unit are kept back", foldsAtFirst, f.period(), kept)
	}
	for range 2 {
		f.take(func(*count.Event, line, ...writer.Field) {})
	}
	if f.any() || f.period() != foldEvery {
		t.Errorf("after the storm, a period lasts %v", f.period())
	}
}

// TestRunFolds wants the sink to write the folded lines at the end of each minute, and at the
// stop.
func TestRunFolds(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j, FoldAfter: 1})
		err := w.run(t, func() {
			for n := range uint64(120) {
				w.events <- after(time.Duration(n)*time.Second, started("a.service", n+1))
				time.Sleep(time.Second + time.Millisecond) // so that no event is at the very end of a minute
			}
			w.events <- after(2*time.Minute, started("a.service", 121))
			w.events <- after(2*time.Minute, started("a.service", 122))
		})
		if err != nil {
			t.Fatal(err)
		}
		const text = "[INFO] a.service:  Incrementing start counter -> "
		w.wantFile(t, text+"1\n", text+"60 (repeated 59 times in 59 s)\n", text+"120 (repeated 60 times in 60 s)\n", text+"122 (repeated 2 times in 1 s)\n")
	})
	got := d.Read()
	if len(got) != 4 || got[1]["MONITOR_REPEATED"] != "59" || got[1]["MONITOR_STARTS"] != "60" {
		t.Errorf("journal: %q", got)
	}
}

// TestRunFoldsWithSummary wants one write a minute in a storm, and later one every five minutes,
// with the folded lines and the summary.
func TestRunFoldsWithSummary(t *testing.T) {
	for _, gap := range []time.Duration{100 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(Config{Summary: time.Minute, FoldAfter: 10})
			err := w.run(t, func() {
				for i := range int(10 * time.Minute / gap) {
					w.events <- started("a.service", uint64(i+1))
					time.Sleep(gap)
				}
				if n := w.writes.Load(); n < 10 || n > 20 { // the first ten lines may be written one by one
					t.Errorf("every %v: %d writes in the first ten minutes", gap, n)
				}
				before := w.writes.Load()
				for i := range int(time.Hour / gap) {
					w.events <- started("a.service", uint64(i+1))
					time.Sleep(gap)
				}
				if n := w.writes.Load() - before; n < 11 || n > 13 {
					t.Errorf("every %v: %d writes in an hour, want 12", gap, n)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(w.file(), ""); strings.Count(text, "summary of the last") < 20 || strings.Count(text, "(repeated") < 20 {
				t.Errorf("every %v: a line is missing: %s", gap, text)
			}
		})
	}
}
