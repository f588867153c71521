package tell

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
)

// What the monitor tells of itself is a line across the screen, whichever unit is asked for. It fits
// on 80 columns, and is ASCII.
func TestItself(t *testing.T) {
	at := time.Date(2026, 11, 27, 13, 12, 4, 0, zone)
	opened := store.Record{Kind: store.Gap, To: store.GapOpened, Time: at, Boot: "b", Monotonic: 5e6}
	end := store.Record{Kind: store.Gap, To: store.GapClosed, Time: at, Until: at.Add(96 * time.Second), Boot: "b", Monotonic: 101e6}
	with := func(r store.Record, change func(*store.Record)) store.Record { change(&r); return r }
	clock := func(from, to time.Time) store.Record {
		r := store.Record{Kind: store.Clock, Time: to, Boot: "b", Monotonic: 1}
		set(from, to)(&r)
		return r
	}
	for _, tt := range []struct {
		name    string
		records []store.Record
		want    []string
	}{
		{"open", []store.Record{opened}, []string{"-- journal unreadable since 13:12:04; what only it has is counted later "}},
		{"closed", []store.Record{opened, end}, []string{"-- journal unreadable 13:12:04 to 13:13:40 (96 s); R was read in it later "}},
		{"lower bounds", []store.Record{opened, with(end, flag(store.AtLeast))}, []string{"-- journal unreadable 13:12:04 to 13:13:40 (96 s); counts are at least right "}},
		{"the opening has made room", []store.Record{end}, []string{"-- journal unreadable 13:12:04 to 13:13:40 (96 s); R was read in it later "}},
		{"the clock was set meanwhile", []store.Record{opened, with(end, func(r *store.Record) { r.Until = at.Add(time.Hour) })}, []string{"-- journal unreadable 13:12:04 to 14:12:04 (96 s); R was read in it later "}},
		{"since 1970", []store.Record{
			with(opened, func(r *store.Record) { r.Time, r.Flags = time.Unix(9, 0), store.Untrusted }),
			with(end, func(r *store.Record) { r.Time, r.Flags = time.Unix(9, 0), store.Untrusted }),
		}, []string{"-- journal unreadable until 2026-11-27 13:13:40; R was read in it later "}},
		{"twice", []store.Record{opened, end, with(opened, func(r *store.Record) { r.Time = at.Add(2 * time.Hour) })}, []string{
			"-- journal unreadable 13:12:04 to 13:13:40 (96 s); R was read in it later ",
			"-- journal unreadable since 15:12:04; what only it has is counted later ",
		}},
		{"set forward", []store.Record{clock(at.Add(-1500*time.Millisecond), at)}, []string{"-- the clock was set from 13:12:02 to 13:12:04 (1.5 s forward) "}},
		{"set back", []store.Record{clock(at.Add(time.Hour), at)}, []string{"-- the clock was set from 14:12:04 to 13:12:04 (1h back) "}},
		{"set by NTP", []store.Record{clock(time.Unix(70, 0), at)}, []string{"-- the clock was set from 1970-01-01 02:01:10 to 2026-11-27 13:12:04 "}},
		{"no times", []store.Record{{Kind: store.Clock, Time: at, From: "noon", To: "later"}}, nil},
	} {
		d := newDiary()
		d.records = append([]store.Record{{Kind: store.Seen, Time: time.Unix(0, 0), Unit: sink}}, tt.records...)
		for _, unit := range []string{sink, broker} {
			var got []string
			for line := range strings.Lines(show(d, Query{Wanted: func(u string) bool { return u == unit }}, Screen{Width: 80, ASCII: true})) {
				if len(line) > 81 || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
					t.Errorf("%s: %q", tt.name, line)
				}
				if line = strings.TrimRight(line, "-\n"); strings.HasPrefix(line, "-- journal") || strings.HasPrefix(line, "-- the") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, of %s:\n%s", tt.name, unit, diff)
			}
		}
	}
}

// Whoever follows sees that the journal cannot be read, and later that it was read.
func TestFollowItself(t *testing.T) {
	d := newDiary().add(sink, store.Start)
	opened := d.later(time.Minute).now
	d.add("", store.Gap, says(store.GapOpened)).later(time.Minute).add("", store.Gap, closed(opened, d)).later(time.Minute)
	d.add("", store.Clock, set(d.now.Add(-time.Hour), d.now))
	h := NewHistory(Query{Wanted: func(string) bool { return true }})
	var b bytes.Buffer
	for i := range d.records {
		h.Add(&d.records[i])
		h.Follow(&b, Screen{Width: 80, Zone: zone})
	}
	const want = `
-- Mon 2025-07-07 (+02) ---------------------- 1 service, since 2025-07-07 11:50
11:50:00  wirepas-sink@ttyUSB1 started
-- journal unreadable since 11:51:00; what only it has is counted later --------
-- journal unreadable 11:51:00 to 11:52:00 (60 s); R was read in it later ------
-- the clock was set from 10:53:00 to 11:53:00 (1h forward) --------------------
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

// The monitor was killed long after the last event of a unit. The line about that does not depend
// on which unit is asked for, and its times are in the zone of the screen.
func TestNotWatched(t *testing.T) {
	d := newDiary().add(sink, store.Start).later(24*time.Hour).add(broker, store.Start)
	d.later(12*time.Hour+15*time.Minute).add("", store.Monitor, says("started"))
	for i := range d.records {
		d.records[i].Time = d.records[i].Time.UTC()
	}
	for _, unit := range []string{sink, broker} {
		text := show(d, Query{Wanted: func(u string) bool { return u == unit }}, Screen{Width: 120})
		if !strings.Contains(text, "-- not watched 11:50:00 to 2025-07-09 00:05:00 (12h 15m);") {
			t.Errorf("%s:\n%s", unit, text)
		}
	}
	if text := show(d, Query{Last: 1}, Screen{Width: 120}); !strings.Contains(text, "mosquitto started") {
		t.Errorf("the last line:\n%s", text)
	}
}

// A monitor that was killed had watched until its last record, also if that was about itself.
func TestNotWatchedAfterItself(t *testing.T) {
	for _, last := range []func(*diary){
		func(d *diary) { d.add("", store.Clock, set(time.Unix(70, 0), d.now)) },
		func(d *diary) { d.add("", store.Gap, closed(d.now.Add(-time.Minute), d)) },
	} {
		d := newDiary().add(sink, store.Start).later(time.Hour)
		last(d)
		d.later(time.Hour).add("", store.Monitor, says(store.Started))
		if text := show(d, Query{}, Screen{Width: 80}); !strings.Contains(text, "-- not watched 12:50:00 to 13:50:00 (1h);") {
			t.Error(text)
		}
	}
}

// A crash at the moment when the clock was set, or when the journal failed, is told with that.
func TestItselfNearCrash(t *testing.T) {
	d := newDiary().add(sink, store.Start)
	opened := d.later(time.Minute).now
	d.add("", store.Gap, says(store.GapOpened)).later(time.Second).add("", store.Clock, set(d.now, d.now.Add(time.Hour)))
	d.later(time.Second).add(sink, store.Crash, segv).later(time.Second).add("", store.Gap, closed(opened, d))
	d.later(time.Minute).add("", store.Gap, says(store.GapOpened)).later(time.Minute).add("", store.Gap, closed(opened, d))
	text := why(d, &Unit{Tally: &count.Tally{Unit: sink, State: "failed", Changed: d.now, Crashes: 1}}, 0, Screen{Width: 80})
	want := "  Near it   11:51:00 the journal could not be read any more\n            11:51:01 the clock was set\n            11:51:03 the journal was read again\n"
	if !strings.Contains(text, want) || strings.Count(text, "journal was read again") != 1 {
		t.Errorf("%s\nwant:\n%s", text, want)
	}
}

// As JSON, both kinds have no unit and count nothing.
func TestItselfAsJSON(t *testing.T) {
	d := newDiary()
	opened := d.now
	d.add("", store.Gap, says(store.GapOpened)).later(time.Minute).add("", store.Gap, closed(opened, d), flag(store.AtLeast))
	d.add("", store.Clock, set(time.Unix(70, 0), d.now))
	var b bytes.Buffer
	for i := range d.records {
		if err := WriteJSON(&b, &d.records[i]); err != nil {
			t.Fatal(err)
		}
	}
	const want = `
{"seq":1,"time":"2025-07-07T11:50:00+02:00","boot_id":"b","monotonic_usec":3600000000,"kind":"gap","to":"opened","count":1,"starts":0,"stops":0,"crashes":0,"unknown":0,"restarts":0}
{"seq":2,"time":"2025-07-07T11:50:00+02:00","until":"2025-07-07T11:51:00+02:00","boot_id":"b","monotonic_usec":3660000000,"kind":"gap","to":"closed","at_least":true,"count":1,"starts":0,"stops":0,"crashes":0,"unknown":0,"restarts":0}
{"seq":3,"time":"2025-07-07T11:51:00+02:00","boot_id":"b","monotonic_usec":3660000000,"kind":"clock","from":"1970-01-01T00:01:10Z","to":"2025-07-07T11:51:00+02:00","count":1,"starts":0,"stops":0,"crashes":0,"unknown":0,"restarts":0}
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}
