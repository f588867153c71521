package tell

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// The first lines say no more than what is known of the last run.
func TestWhyHeadline(t *testing.T) {
	crash := func() *diary {
		return newDiary().add(broker, store.Start).later(time.Hour).add(broker, store.Crash, segv).later(time.Minute)
	}
	several := func(n store.Counts, f store.Flags) *diary {
		return newDiary().add(broker, store.Many, flag(f), func(r *store.Record) { r.Delta, r.Until = n, r.Time.Add(time.Minute) }).later(time.Minute)
	}
	for _, tt := range []struct {
		name        string
		d           *diary
		state, sub  string
		to          func(*Unit)
		first, also string
	}{
		{"it crashed, and was reset", crash(), "inactive", "dead", nil, "is down: it crashed, and was reset or stopped since\n", "State     inactive (dead), for 60 s\n"},
		{"nobody saw its end", newDiary().add(broker, store.Start).later(time.Hour).add(broker, store.UnknownEnd).later(time.Minute), "inactive", "dead", nil,
			"is down; nobody knows how its last run ended\n", "1 unknown end"},
		{"it was stopped again and again", several(store.Counts{Starts: 3, Stops: 3}, 0), "inactive", "dead", nil, "is down, and that is no crash: its last run ended well\n", ""},
		{"it crashed again and again", several(store.Counts{Starts: 3, Stops: 1, Crashes: 2}, 0), "inactive", "dead", nil, "is down: it crashed, and was reset or stopped since\n", ""},
		{"nobody saw its ends", several(store.Counts{Starts: 3, Stops: 2, Unknown: 1}, 0), "inactive", "dead", nil, "is down; nobody knows how its last run ended\n", ""},
		{"nobody wrote down its ends", several(store.Counts{Starts: 3, Stops: 2, Crashes: 1}, store.Untold), "inactive", "dead", nil, "is down; nobody knows how its last run ended\n", ""},
		{"it never ran", newDiary(), "inactive", "dead", nil, "is down, and has not run since it is watched\n", ""},
		{"its condition was not met", newDiary().add(broker, store.Start).later(time.Hour).add(broker, store.Stop, result("exec-condition", 0, 0)), "inactive", "dead", nil,
			"is down, and that is no crash\n", "ExecCondition="},
		{"it had failed before", newDiary(), "failed", "failed", nil, "is down: it failed while nobody watched, and systemd does not restart it\n", "State     failed\n"},
		{"it crashed", crash(), "failed", "failed", nil, "is down: it crashed, and systemd does not restart it\n", "\n  To start it when it is mended\n    systemctl start mosquitto.service\n"},
		{"given up after a crash", crash(), "failed", "failed", gaveUp, "is down: it crashed, and systemd gave up restarting it\n",
			"\n    systemctl reset-failed mosquitto.service\n    systemctl start mosquitto.service\n"},
		{"given up after it ended well", newDiary().add(broker, store.Start).later(time.Hour).add(broker, store.Stop, success), "failed", "failed", gaveUp,
			"is down: its last run ended well, and systemd gave up restarting it\n", ""},
		{"its start was refused", newDiary().add(broker, store.Start).later(time.Hour).add(broker, store.Stop, success), "failed", "failed", hitLimit,
			"is down: its last run ended well, and systemd refused to start it again\n", "\n    systemctl reset-failed mosquitto.service\n    systemctl start mosquitto.service\n"},
		{"it waits for its restart", crash(), "activating", autoRestart, retries, "is down for a moment: it crashed, and systemd is going to restart it\n", ""},
		{"it runs since it was first seen", newDiary(), "active", "running", func(u *Unit) { u.Life.Invocation = [16]byte{1} },
			"runs, and has never crashed since it is watched\n", "0 restarts; it ran when it was first seen\n"},
		{"it runs, and nobody knows what was before", newDiary(), "active", "running", atLeast, "runs, and no crash of it is known\n", ""},
		{"it is not there", newDiary(), decode.NotLoaded, "dead", nil, "is not there: systemd has no such unit\n", "What next nothing, until there is such a unit."},
	} {
		counts := tt.d.counts[broker]
		u := &Unit{Tally: &count.Tally{
			Unit: broker, State: tt.state, Starts: uint64(counts.Starts), Stops: uint64(counts.Stops), Crashes: uint64(counts.Crashes), Unknown: uint64(counts.Unknown),
			Life: &classify.Life{ActiveState: tt.state, SubState: tt.sub},
		}}
		if len(tt.d.records) > 0 {
			u.Changed = tt.d.now.Add(-time.Minute)
		}
		if tt.to != nil {
			tt.to(u)
		}
		text := why(tt.d, u, 0, Screen{Width: 140})
		if !strings.HasPrefix(text, broker+" "+tt.first) || !strings.Contains(text, tt.also) {
			t.Errorf("%s: no %q or %q in\n%s", tt.name, tt.first, tt.also, text)
		}
	}
	var b bytes.Buffer
	report(newDiary(), &Unit{Tally: &count.Tally{Unit: broker}}, 0).Write(&b, Screen{Width: 80, Zone: zone})
	if want := "mosquitto.service was not seen yet\n\n  State     not known yet\n"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("no %q in\n%s", want, &b)
	}
}

// A crash before the clock was set is told with the time that the monotonic clock gives.
func TestClockWasNotSet(t *testing.T) {
	at := time.Unix(50, 0)
	record := store.Record{Kind: store.Crash, Flags: store.Untrusted, Time: at, Unit: "a.service", Boot: "b", Monotonic: 50e6, Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: 1}}
	tally := &count.Tally{
		Unit: "a.service", State: "failed", Changed: at, Crashes: 1, Life: &classify.Life{ActiveState: "failed", Ended: true, Invocation: [16]byte{1}},
		LastCrash: &count.Crash{Time: at, Untrusted: true, Boot: "b", Clock: 50e6, Cause: killed, Invocation: "01000000000000000000000000000000"},
	}
	for boot, want := range map[string][]string{
		"b": {"failed           10m        1      1  10m ago", "goes back to 2025-07-07 11:50 (10m)"},
		"c": {"failed             –        1      –  unknown"}, // that was another boot, and nobody knows when
	} {
		s := &Status{Now: noon, AsOf: noon, Clock: Clock{Now: noon, Boot: boot, Since: 650e6}, Units: []*Unit{{Tally: tally}}}
		r := s.Clock.Right(&record)
		s.Reach(r)
		s.Units[0].Add(r, noon)
		var b bytes.Buffer
		s.Write(&b, Screen{Width: 80, Zone: zone})
		for _, words := range want {
			if !strings.Contains(b.String(), words) {
				t.Errorf("boot %s: no %q in\n%s", boot, words, &b)
			}
		}
	}
	if !record.Time.Equal(at) || record.Flags != store.Untrusted {
		t.Errorf("the record was changed: %+v", record)
	}
	// A record of several events keeps how long they took.
	many := record
	many.Kind, many.Time, many.Until = store.Many, at.Add(-40*time.Second), at
	c := Clock{Now: noon, Boot: "b", Since: 650e6}
	if r := c.Right(&many); !r.Until.Equal(noon.Add(-10*time.Minute)) || r.Until.Sub(r.Time) != 40*time.Second || r.Flags != 0 {
		t.Errorf("%+v", r)
	}
}

// Whoever sees a line that is cut is told how to see all of it.
func TestLastWordsCut(t *testing.T) {
	const whole = "  Last words of the run that crashed\n    1"
	for _, tt := range []struct {
		s    Screen
		want string
	}{
		{Screen{Width: 60}, "  Last words of the run that crashed (--full shows whole\n  lines)\n    1"},
		{Screen{Width: 140}, whole},
		{Screen{Width: 60, Long: true}, whole},
	} {
		d, u := loopDiary()
		y := report(d, u, 0)
		y.Boxes = []blackbox.Box{{Invocation: "5b1f0000000000000000000000000007", Lines: []records.Line{{Time: noon, From: "systemd[1]", Text: gateway + ": Main process exited, code=dumped, status=11/SEGV"}}}}
		var b bytes.Buffer
		tt.s.Zone = zone
		if y.Write(&b, tt.s); !strings.Contains(b.String(), tt.want) {
			t.Errorf("%+v: no %q in\n%s", tt.s, tt.want, &b)
		}
	}
}
