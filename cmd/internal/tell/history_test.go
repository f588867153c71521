package tell

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
)

// After systemd has given up, somebody starts the service. That is no restart by systemd.
func TestStartAfterGivingUp(t *testing.T) {
	d := newDiary()
	d.add("", store.Monitor, says("started")).add(sink, store.Seen).add(sink, store.Start)
	d.later(time.Second).add(sink, store.Crash, exec).later(time.Second).add(sink, store.Restart).add(sink, store.Start)
	d.later(time.Second).add(sink, store.Crash, exec).later(time.Second).add(sink, store.Restart).add(sink, store.GaveUp, result("start-limit-hit", 0, 0))
	d.later(8*time.Hour).add(sink, store.Start)
	if got, want := show(d, Query{}, Screen{Width: 80}), "19:50:04  wirepas-sink@ttyUSB1 started"; !strings.Contains(got, want) {
		t.Errorf("%q is not in\n%s", want, got)
	}
}

// TestStates wants a line for a state that is no start and no end.
func TestStates(t *testing.T) {
	move := func(from, to string) func(*store.Record) { return func(r *store.Record) { r.From, r.To = from, to } }
	d := newDiary()
	d.add(broker, store.State, move("active", "reloading")).add(sink, store.State, move("inactive", "unloaded"))
	d.later(time.Second).add(sink, store.State, move("unloaded", "activating"))
	want := `
-- Mon 2025-07-07 (+02) --------------------- 2 services, since 2025-07-07 11:50
11:50:00  mosquitto            reloading
11:50:00  wirepas-sink@ttyUSB1 not loaded  systemd does not have it any more
11:50:01  wirepas-sink@ttyUSB1 loaded      systemd has it again
3 lines for 3 events. --all shows each, --json is for jq
`
	if diff := cmp.Diff(want[1:], show(d, Query{}, Screen{Width: 80})); diff != "" {
		t.Error(diff)
	}
}

func show(d *diary, q Query, s Screen) string {
	if q.Wanted == nil {
		q.Wanted = func(string) bool { return true }
	}
	s.Zone = zone
	h := NewHistory(q)
	for _, r := range d.records {
		h.Add(&r)
		r = store.Record{} // as the reader of the store does
	}
	var b bytes.Buffer
	h.Write(&b, s)
	return b.String()
}

func TestHistory(t *testing.T) {
	events := int64(0)
	for _, r := range night().records {
		if events += r.Delta.Sum(); r.Kind == store.GaveUp {
			events++
		}
	}
	want := fmt.Sprintf(`
-- Mon 2025-07-07 (+02) --------------------- 3 services, since 2025-07-07 11:50
11:50:00  wirepas-gateway      started
11:50:00  mosquitto            started
11:53:04  wirepas-sink@ttyUSB1 started
11:53:04  wirepas-sink@ttyUSB1 crash 1     203/EXEC, no program after 2 ms
11:53:05  wirepas-sink@ttyUSB1 crash ×5    to 6, every 202 ms, each after 2 ms
11:53:05  wirepas-sink@ttyUSB1 GAVE UP     start limit hit; down since then
12:03:05  mosquitto            restarted   by request; had run 13m 5s
-- not watched 13:03:06 to 13:04:42 (96 s); R was read in the journal later ----
13:03:33R mosquitto            crash 1     oom-kill, memory was short after 1h
13:03:33R mosquitto            restart     by systemd after 100 ms
-- journal unreadable 13:14:42 to 13:16:42 (2m); R was read in it later --------
-- the clock was set from 13:19:35 to 13:19:42 (7 s forward) -------------------
13:34:42  wirepas-gateway      crash 1     SIGSEGV, core dumped after 1h 44m
14:09:24  wirepas-gateway      crash ×130  to 131, every 16 s, each after 12 s
-- Tue 2025-07-08 (+02) --------------------------------------------------------
02:09:24  mosquitto            stopped     after 13h 5m
12 lines for %d events. --all shows each, --json is for jq
`, events)
	if diff := cmp.Diff(want[1:], show(night(), Query{}, Screen{Width: 80})); diff != "" {
		t.Error(diff)
	}
}

// No line is wider than the screen. A terminal that knows only ASCII gets only ASCII.
func TestScreens(t *testing.T) {
	for _, width := range []int{60, 80, 140} {
		for _, all := range []bool{false, true} {
			text := show(night(), Query{All: all}, Screen{Width: width, ASCII: true})
			for line := range strings.Lines(text) {
				if n := len(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%d columns of %d: %q", n, width, line)
				}
				for _, r := range line {
					if r > 0x7e || r < ' ' && r != '\n' {
						t.Errorf("%q in %q", r, line)
					}
				}
			}
		}
	}
}

func TestQueries(t *testing.T) {
	lines := func(q Query) int { return strings.Count(show(night(), q, Screen{Width: 140}), "\n") }
	only := func(unit string) func(string) bool { return func(u string) bool { return u == unit } }
	for _, tt := range []struct {
		name string
		q    Query
		want int
	}{
		{"one unit", Query{Wanted: only(sink)}, 1 + 4 + 3 + 1}, // a day, four lines, three about the monitor itself, and the last line
		{"nobody", Query{Wanted: only("x")}, 1 + 3},
		{"the last two", Query{Last: 2}, 2 + 2 + 1},
		{"crashes", Query{Crashes: true}, 1 + 5 + 3 + 1},
		{"each crash", Query{Crashes: true, All: true}, 1 + 14 + 3 + 1},
		{"from a time on", Query{Since: time.Date(2025, 7, 7, 23, 0, 0, 0, time.UTC)}, 1 + 1 + 1},
		{"up to a time", Query{Until: time.Date(2025, 7, 7, 9, 50, 1, 0, time.UTC)}, 1 + 2 + 1},
	} {
		if got := lines(tt.q); got != tt.want {
			t.Errorf("%s: %d lines, want %d", tt.name, got, tt.want)
		}
	}
}

// A line says so if counts grew while the history was not written.
func TestUntold(t *testing.T) {
	d := newDiary().add(sink, store.Start).later(time.Minute).add(sink, store.Many, flag(store.Untold), func(r *store.Record) {
		r.Until, r.Delta = r.Time, store.Counts{Crashes: 2, Starts: 2, Unknown: 1}
	})
	if text := show(d, Query{}, Screen{Width: 120}); !strings.Contains(text, "2 starts, 2 crashes, 1 unknown end, while the history was not written") {
		t.Error(text)
	}
}

// Records that come while somebody follows are lines of their own. Before them is the same history
// as without --follow. Together they are the whole history, whenever somebody begins to follow.
func TestFollow(t *testing.T) {
	records := night().records
	for at := range len(records) + 1 {
		h := NewHistory(Query{Wanted: func(string) bool { return true }})
		s := Screen{Width: 100, Zone: zone}
		var before, after bytes.Buffer
		for i := range records[:at] {
			h.Add(&records[i])
		}
		h.Follow(&before, s)
		told := show(&diary{records: records[:at]}, Query{}, s)
		if lines := strings.Split(strings.TrimSuffix(told, "\n"), "\n"); strings.Join(lines[:len(lines)-1], "") != strings.ReplaceAll(before.String(), "\n", "") {
			t.Fatalf("before %d:\n%s\nwant:\n%s", at, &before, told)
		}
		want := 0
		for i := range records[at:] {
			r := &records[at+i]
			h.Add(r)
			h.Follow(&after, s)
			if r.Kind != store.Seen && r.Unit != "" {
				want++
			}
		}
		got := 0
		for line := range strings.Lines(after.String()) {
			if !strings.HasPrefix(line, "--") {
				got++
			}
		}
		if got != want {
			t.Fatalf("after %d: %d lines, want %d:\n%s", at, got, want, &after)
		}
	}
	h := NewHistory(Query{Wanted: func(unit string) bool { return unit == sink }})
	var b bytes.Buffer
	for i := range records[:12] {
		h.Follow(&b, Screen{Width: 80, Zone: zone})
		h.Add(&records[i])
	}
	h.Follow(&b, Screen{Width: 80, Zone: zone})
	const want = `
-- Mon 2025-07-07 (+02) ---------------------- 1 service, since 2025-07-07 11:50
11:53:04  wirepas-sink@ttyUSB1 started
11:53:04  wirepas-sink@ttyUSB1 crash 1     203/EXEC, no program after 2 ms
11:53:04  wirepas-sink@ttyUSB1 restart     by systemd
11:53:04  wirepas-sink@ttyUSB1 started
11:53:04  wirepas-sink@ttyUSB1 crash 2     203/EXEC, no program after 2 ms
11:53:04  wirepas-sink@ttyUSB1 restart     by systemd
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

// On a narrow screen nothing is cut but names, and if another program reads the lines, these neither.
func TestHistoryNarrow(t *testing.T) {
	d := newDiary().add("", store.Monitor, says(store.Started)).add(sink, store.Start)
	d.later(time.Minute).add(sink, store.Crash, exec).later(9*time.Second).add(sink, store.Start, flag(store.Untrusted)).later(time.Second).add(sink, store.Crash, exec)
	d.add(sink, store.Stop, success, flag(store.AtLeast)).add("", store.Monitor, says(store.Stopped)).later(time.Hour).add("", store.Monitor, says(store.Started))
	for _, tt := range []struct {
		s    Screen
		want string
	}{
		{Screen{Width: 50}, `
-- Mon 2025-07-07 (+02) ---------------- 1 service
11:50:00  wirepas-…ttyUSB1 started
11:51:00  wirepas-…ttyUSB1 crash 1
          203/EXEC, no program after 60 s
11:51:09  wirepas-…ttyUSB1 started
          (the clock was not set)
11:51:10  wirepas-…ttyUSB1 crash 2
          203/EXEC, no program after 1 s
11:51:10  wirepas-…ttyUSB1 stopped
          (there may have been more)
-- not watched 11:51:10 to 12:51:10 (1h); R was
   read in the journal later
5 lines for 5 events. --all shows each, --json is
for jq
`},
		{Screen{Width: 60}, `
-- Mon 2025-07-07 (+02) -------- 1 service, since 2025-07-07
11:50:00  wirepas-sink@ttyUSB1 started
11:51:00  wirepas-sink@ttyUSB1 crash 1
          203/EXEC, no program after 60 s
11:51:09  wirepas-sink@ttyUSB1 started
          (the clock was not set)
11:51:10  wirepas-sink@ttyUSB1 crash 2
          203/EXEC, no program after 1 s
11:51:10  wirepas-sink@ttyUSB1 stopped
          (there may have been more)
-- not watched 11:51:10 to 12:51:10 (1h); R was read in the
   journal later
5 lines for 5 events. --all shows each, --json is for jq
`},
		{Screen{Width: 50, Long: true}, `
-- Mon 2025-07-07 (+02) ---------------- 1 service
11:50:00  wirepas-sink@ttyUSB1 started
11:51:00  wirepas-sink@ttyUSB1 crash 1     203/EXEC, no program after 60 s
11:51:09  wirepas-sink@ttyUSB1 started     (the clock was not set)
11:51:10  wirepas-sink@ttyUSB1 crash 2     203/EXEC, no program after 1 s
11:51:10  wirepas-sink@ttyUSB1 stopped     (there may have been more)
-- not watched 11:51:10 to 12:51:10 (1h); R was read in the journal later
5 lines for 5 events. --all shows each, --json is
for jq
`},
	} {
		if diff := cmp.Diff(tt.want[1:], show(d, Query{}, tt.s)); diff != "" {
			t.Errorf("%d columns: %s", tt.s.Width, diff)
		}
	}
}

// What lasted from a time to another one is shown if a part of it is wanted, also with a line for each record.
func TestHistoryOverlaps(t *testing.T) {
	crashes := func(r *store.Record) {
		r.Until, r.Delta = r.Time.Add(time.Hour), store.Counts{Crashes: 125, Starts: 125}
	}
	for _, tt := range []struct {
		name  string
		add   func(d *diary)
		words string
	}{
		{"crashes", func(d *diary) { d.add(sink, store.Many, segv, crashes).later(time.Hour) }, "crash ×125"},
		{"starts and stops", func(d *diary) {
			d.add(sink, store.Many, crashes, func(r *store.Record) { r.Delta = store.Counts{Starts: 7, Stops: 7} }).later(time.Hour)
		}, "7 starts, 7 stops"},
		{"a gap", func(d *diary) {
			opened := d.now
			d.later(time.Hour).add("", store.Gap, closed(opened, d))
		}, "journal unreadable"},
		{"a loop of single crashes", func(d *diary) {
			for range 13 {
				d.add(sink, store.Crash, segv).later(5 * time.Minute)
			}
		}, "crash ×12"},
	} {
		d := newDiary()
		from := d.now
		tt.add(d)
		for _, part := range []struct {
			q    Query
			want bool
		}{
			{Query{Since: from.Add(30 * time.Minute)}, true}, {Query{Until: from.Add(30 * time.Minute)}, true},
			{Query{Since: from.Add(30 * time.Minute), Until: from.Add(32 * time.Minute)}, true},
			{Query{Since: from.Add(2 * time.Hour)}, false}, {Query{Until: from}, false},
		} {
			if got := show(d, part.q, Screen{Width: 80}); strings.Contains(got, tt.words) != part.want {
				t.Errorf("%s: %q is wanted: %v, found\n%s", tt.name, tt.words, part.want, got)
			}
			if part.q.All = true; tt.name == "a loop of single crashes" {
				continue // then each has its own line
			}
			if got := show(d, part.q, Screen{Width: 80}); (got != "") != part.want {
				t.Errorf("%s, each: wanted: %v, found\n%s", tt.name, part.want, got)
			}
		}
	}
}
