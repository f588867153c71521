package view

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// noon is the end of each timeline, and minute returns a time that many minutes after its beginning, one hour
// before.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func minute(n float64) time.Time {
	return noon.Add(-time.Hour + time.Duration(n*float64(time.Minute)))
}

func start(n float64) store.Record {
	return store.Record{Kind: store.Start, Time: minute(n), Delta: store.Counts{Starts: 1}}
}

func crash(n float64) store.Record {
	return store.Record{Kind: store.Crash, Time: minute(n), Delta: store.Counts{Crashes: 1}}
}

func stop(n float64) store.Record {
	return store.Record{Kind: store.Stop, Time: minute(n), Delta: store.Counts{Stops: 1}}
}

func itself(n float64, to string) store.Record {
	return store.Record{Kind: store.Monitor, Time: minute(n), To: to}
}

func long(r store.Record, up, down float64) store.Record {
	r.Up, r.Down = time.Duration(up*float64(time.Minute)), time.Duration(down*float64(time.Minute))
	return r
}

func recovered(r store.Record) store.Record {
	r.Flags |= store.Recovered
	return r
}

func folded(n, until float64, delta store.Counts) store.Record {
	return store.Record{Kind: store.Many, Time: minute(n), Until: minute(until), Delta: delta}
}

// clock returns CLOCK_MONOTONIC at a minute, in the boot "b", which began ten days before the timeline.
func clock(n float64) uint64 {
	return uint64((10*24*time.Hour + minute(n).Sub(minute(0))).Microseconds())
}

// status returns the status at the end of the timeline, with one unit.
func status(u *count.Tally) *tell.Status {
	return &tell.Status{Now: noon, AsOf: noon, Clock: tell.Clock{Now: noon, Boot: "b", Since: clock(60)}, Units: []*tell.Unit{{Tally: u}}}
}

// lineOf returns the timeline of the unit of a status, in seconds.
func lineOf(s *tell.Status, records []store.Record) Line {
	tr := NewTracer(s, 1, All)
	for i, r := range records {
		if r.Seq = uint64(i + 1); r.Kind != store.Monitor {
			r.Unit = "a.service"
		}
		tr.Add(&r)
	}
	return tr.Timeline(s).Units[0]
}

// aUnit returns a unit that is in a state since a minute, and in that phase by its counters.
func aUnit(state string, since float64) *count.Tally {
	t := &count.Tally{Unit: "a.service", State: state, Changed: minute(since), Life: &classify.Life{ActiveState: state}}
	t.Times = count.Times{Phase: count.PhaseNamed(phaseOf(state)), Clock: clock(since), Boot: "b", At: minute(since)}
	if state == "active" {
		t.Life.Invocation[0] = 1
	} else {
		t.Life.Ended = true
	}
	return t
}

func TestTimeline(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []store.Record
		unit    *count.Tally
		stopped float64 // when the monitor stopped; 0 if it runs
		spans   string  // minutes and phases
		marks   string
	}{
		{"nothing is known", nil, aUnit("", 70), 0, `[{"from":0,"to":60,"phase":"unobserved"}]`, `[]`},
		{"it runs for days", nil, aUnit("active", -5000), 0, `[{"from":0,"to":60,"phase":"up"}]`, `[]`},
		{"it was first seen", []store.Record{{Kind: store.Seen, Time: minute(10), To: "active"}}, aUnit("active", 10), 0,
			`[{"from":0,"to":10,"phase":"unobserved"},{"from":10,"to":60,"phase":"up"}]`, `[]`},
		{"a crash, and up again", []store.Record{start(10), long(crash(20), 10, 0), long(start(21), 0, 1)}, aUnit("active", 21), 0,
			`[{"from":0,"to":10,"phase":"unobserved"},{"from":10,"to":20,"phase":"up"},{"from":20,"to":21,"phase":"down"},{"from":21,"to":60,"phase":"up"}]`, `[{"at":20,"count":1}]`},
		{"what was before the hour counts for its beginning", []store.Record{start(-30), crash(-20)}, aUnit("failed", -20), 0, `[{"from":0,"to":60,"phase":"down"}]`, `[]`},
		{"the record of a run that began before the hour", []store.Record{long(stop(30), 300, 0)}, aUnit("inactive", 30), 0,
			`[{"from":0,"to":30,"phase":"up"},{"from":30,"to":60,"phase":"stopped"}]`, `[]`},
		{"a start after a time that the record knows", []store.Record{long(start(30), 0, 10)}, aUnit("active", 30), 0,
			`[{"from":0,"to":20,"phase":"unobserved"},{"from":20,"to":30,"phase":"down"},{"from":30,"to":60,"phase":"up"}]`, `[]`},
		{"somebody released it after a crash", []store.Record{start(-5), crash(10), long(start(40), 0, 5)}, aUnit("active", 40), 0,
			`[{"from":0,"to":10,"phase":"up"},{"from":10,"to":15,"phase":"down"},{"from":15,"to":40,"phase":"stopped"},{"from":40,"to":60,"phase":"up"}]`, `[{"at":10,"count":1}]`},
		{"somebody has just released it", []store.Record{start(-5), crash(10)}, aUnit("inactive", 50), 0,
			`[{"from":0,"to":10,"phase":"up"},{"from":10,"to":50,"phase":"down"},{"from":50,"to":60,"phase":"stopped"}]`, `[{"at":10,"count":1}]`},
		{"nobody watched for a while", []store.Record{start(-5), itself(20, store.Stopped), itself(30, store.Started)}, aUnit("active", 30), 0,
			`[{"from":0,"to":20,"phase":"up"},{"from":20,"to":30,"phase":"unobserved"},{"from":30,"to":60,"phase":"up"}]`, `[]`},
		{"nobody watched for a while, and the same run goes on", []store.Record{start(-5), itself(20, store.Stopped), itself(30, store.Started)}, aUnit("active", -5), 0,
			`[{"from":0,"to":60,"phase":"up"}]`, `[]`},
		{"the monitor was killed, and the same run goes on", []store.Record{start(5), itself(30, store.Started)}, aUnit("active", 5), 0,
			`[{"from":0,"to":5,"phase":"unobserved"},{"from":5,"to":60,"phase":"up"}]`, `[]`},
		{"what nobody watched was read in the journal", []store.Record{start(-5), itself(20, store.Stopped), itself(30, store.Started), recovered(long(crash(24), 29, 0)), recovered(long(start(26), 0, 2))}, aUnit("active", 26), 0,
			`[{"from":0,"to":24,"phase":"up"},{"from":24,"to":26,"phase":"down"},{"from":26,"to":60,"phase":"up"}]`, `[{"at":24,"count":1}]`},
		{"only that it was started was read", []store.Record{stop(-5), itself(20, store.Stopped), itself(30, store.Started), recovered(start(26))}, aUnit("active", 26), 0,
			`[{"from":0,"to":20,"phase":"stopped"},{"from":20,"to":26,"phase":"unobserved"},{"from":26,"to":60,"phase":"up"}]`, `[]`},
		{"the monitor is away", []store.Record{start(-5)}, aUnit("active", -5), 40,
			`[{"from":0,"to":40,"phase":"up"},{"from":40,"to":60,"phase":"unobserved"}]`, `[]`},
		{"a storm in one record", []store.Record{start(-5), crash(10), long(folded(10, 20, store.Counts{Starts: 30, Crashes: 30, Restarts: 30}), 7.5, 2.5)}, aUnit("failed", 20), 0,
			`[{"from":0,"to":10,"phase":"up"},{"from":10,"to":20,"phase":"up","mixed":true,"up":0.75},{"from":20,"to":60,"phase":"down"}]`, `[{"at":10,"count":1},{"at":10,"count":30,"until":20}]`},
		{"a storm that ends with a run", []store.Record{start(-5), crash(10), folded(10, 20, store.Counts{Starts: 30, Crashes: 29})}, aUnit("active", 20), 0,
			`[{"from":0,"to":10,"phase":"up"},{"from":10,"to":20,"phase":"up","mixed":true},{"from":20,"to":60,"phase":"up"}]`, `[{"at":10,"count":1},{"at":10,"count":29,"until":20}]`},
		{"it is no longer there, and comes again", []store.Record{start(-5), {Kind: store.Forgotten, Time: minute(10)}, {Kind: store.Seen, Time: minute(20), To: "inactive"}}, aUnit("inactive", 20), 0,
			`[{"from":0,"to":10,"phase":"up"},{"from":10,"to":20,"phase":"unobserved"},{"from":20,"to":60,"phase":"stopped"}]`, `[]`},
		{"nobody knows how it ended", []store.Record{start(-5), {Kind: store.UnknownEnd, Time: minute(10), Delta: store.Counts{Unknown: 1}}}, aUnit("inactive", 10), 0,
			`[{"from":0,"to":10,"phase":"up"},{"from":10,"to":60,"phase":"stopped"}]`, `[]`},
	} {
		s := status(tt.unit)
		if tt.stopped > 0 {
			s.AsOf, s.Stopped = minute(tt.stopped), minute(tt.stopped)
		}
		line := lineOf(s, tt.records)
		var want Line
		if json.Unmarshal([]byte(tt.spans), &want.Spans) != nil || json.Unmarshal([]byte(tt.marks), &want.Crashes) != nil {
			t.Fatal(tt.name)
		}
		want.Unit = "a.service"
		for i := range want.Spans {
			s := &want.Spans[i]
			s.From, s.To = s.From*60, s.To*60
		}
		for i := range want.Crashes {
			m := &want.Crashes[i]
			if m.At *= 60; m.Until != nil {
				*m.Until *= 60
			}
		}
		if diff := cmp.Diff(want, line); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What the counters prove of a time in which nobody watched is in the timeline, and no more than that.
func TestLasting(t *testing.T) {
	killed := []store.Record{start(-5), itself(30, store.Started)}
	for _, tt := range []struct {
		name    string
		records []store.Record
		unit    *count.Tally
		change  func(s *tell.Status, u *count.Tally)
		spans   string // minutes and phases
	}{
		{"killed long ago, and the same run goes on", killed, aUnit("active", -5), nil, `up 60`},
		{"killed twice", []store.Record{start(-5), itself(10, store.Started), itself(30, store.Started)}, aUnit("active", -5), nil, `up 60`},
		{"it has reloaded since", killed, aUnit("active", -5), func(_ *tell.Status, u *count.Tally) { u.Changed = minute(50) }, `up 60`},
		{"it is down all the time", []store.Record{crash(-5), itself(20, store.Stopped), itself(30, store.Started)}, aUnit("failed", -5), nil, `down 60`},
		{"another run, and nobody knows since when", killed, aUnit("active", 30), nil, `unobserved 30, up 60`},
		{"another run, and systemd knows since when", killed, aUnit("active", 25), nil, `unobserved 25, up 60`},
		{"the boot before", killed, aUnit("active", -5), func(_ *tell.Status, u *count.Tally) { u.Times.Boot = "a" }, `unobserved 30, up 60`},
		{"a new boot, in which it runs before the monitor", killed, aUnit("active", 28), func(s *tell.Status, u *count.Tally) {
			began := clock(27)
			s.Clock.Since, u.Times.Clock = s.Clock.Since-began, u.Times.Clock-began
		}, `unobserved 28, up 60`},
		{"the wall clock was not set when it began", killed, aUnit("active", 25), func(_ *tell.Status, u *count.Tally) { u.Times.At = time.Unix(70, 0) }, `unobserved 25, up 60`},
		{"there is only the wall clock", killed, aUnit("active", -5), func(_ *tell.Status, u *count.Tally) { u.Times.Clock = 0 }, `unobserved 30, up 60`},
		{"the wall clock was set back, so that it seems to be older than its record", []store.Record{start(25), itself(30, store.Started)}, aUnit("active", 5), nil, `unobserved 25, up 60`},
		{"the counters say something else", killed, aUnit("active", -5), func(_ *tell.Status, u *count.Tally) { u.Times.Phase = count.Unobserved }, `unobserved 30, up 60`},
		{"the monitor is still reading", killed, aUnit("active", -5), func(s *tell.Status, _ *count.Tally) { s.Behind = true }, `unobserved 30, up 60`},
		{"what was saved is older", killed, aUnit("active", -5), func(s *tell.Status, _ *count.Tally) { s.AsOf, s.Stopped = minute(20), minute(20) }, `up 20, unobserved 60`},
	} {
		s := status(tt.unit)
		if tt.change != nil {
			tt.change(s, tt.unit)
		}
		var got []string
		for _, span := range lineOf(s, tt.records).Spans {
			got = append(got, fmt.Sprintf("%s %v", span.Phase, span.To/60))
		}
		if got := strings.Join(got, ", "); got != tt.spans {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.spans)
		}
	}
}

// Whatever the records are, the spans go from the beginning to the end without gaps.
func FuzzTimeline(f *testing.F) {
	f.Add([]byte{1, 10, 5, 2, 20, 3, 8, 30, 1, 8, 40, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := status(aUnit("active", 50))
		tr := NewTracer(s, 1, All)
		crashes := int64(0)
		for i := 0; i+2 < len(data); i += 3 {
			r := store.Record{Kind: store.Kind(data[i] % 13), Time: minute(float64(data[i+1]) - 60), Unit: "a.service", Seq: uint64(i)}
			switch r.Kind {
			case store.Monitor:
				r.Unit, r.To = "", []string{store.Started, store.Stopped}[data[i+2]%2]
			case store.Many:
				r.Until, r.Delta = r.Time.Add(time.Duration(data[i+2])*time.Minute), store.Counts{Crashes: int64(data[i+2]), Starts: int64(data[i+1])}
			case store.Crash:
				r.Delta.Crashes = 1
			}
			r.Up, r.Down, r.Flags = time.Duration(data[i+2])*time.Minute, time.Duration(data[i+2]%7)*time.Minute, store.Flags(data[i+2]&1)
			end := r.Until
			if end.IsZero() {
				end = r.Time
			}
			if !end.Before(minute(0)) {
				crashes += r.Delta.Crashes
			}
			tr.Add(&r)
		}
		line := tr.Timeline(s).Units[0]
		at := 0.
		for _, span := range line.Spans {
			if span.From != at || span.To <= span.From || span.Phase == "" {
				t.Fatalf("%+v", line.Spans)
			}
			at = span.To
		}
		for _, m := range line.Crashes {
			crashes -= m.Count
		}
		if at != 3600 || crashes != 0 {
			t.Fatalf("to %v; %d crashes are missing: %+v", at, crashes, line)
		}
	})
}
