package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/logsink"
	"service-monitor/stages/persist"
	"service-monitor/stages/statefile"
	"service-monitor/test/cases"
	"service-monitor/test/fakebus"
	"service-monitor/test/recording"
)

// years is a wall clock that is set now and then. Facts are a second apart. The number of a fact
// decides which year the clock shows.
type years struct {
	begun count.Moment
	shown []int // for some facts each
	facts int   // so far
}

const factsPerYear = 8

// next returns the time of the next fact by both clocks.
func (y *years) next() (wall time.Time, clock uint64) {
	year := y.shown[min(y.facts/factsPerYear, len(y.shown)-1)]
	y.facts++
	at := y.begun.Time.Add(time.Duration(y.facts) * time.Second)
	return time.Date(year, at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.Local), y.begun.Clock + uint64(y.facts)*1_000_000
}

func (y *years) Run(ctx context.Context, p *pipeline.Port[classify.Transition, classify.Transition]) error {
	for facts := range p.In {
		for _, fact := range facts {
			fact.Time, fact.Clock = y.next()
			if err := p.Send(ctx, fact); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestYears plays what a real systemd sent, with a clock that shows 1970 and is set to 2026 and then
// to 2019. The counts must be those of the journal of that machine. Exactly the wrong times
// must be marked, and the log must say when the clock was set.
func TestYears(t *testing.T) {
	const name, unit = "restarted after a crash", "case-always-3.service"
	r, err := recording.Load(recordingOf(252, cases.Case{Name: name}))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	state, err := statefile.Open(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	var file bytes.Buffer
	notes, log := logsink.NewNotes(nil), logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(notes)
	y := &years{
		begun: count.Moment{Time: time.Date(1970, 3, 1, 12, 0, 0, 0, time.Local), Clock: 70_000_000, Boot: strings.Repeat("1", 32)},
		shown: []int{1970, 2026, 2019},
	}

	g := pipeline.New(nil)
	updates := pipeline.Add(g, "decode", pipeline.Source(g, "player", pipelinetest.Play(r.Signals...)), decode.New(log))
	transitions := pipeline.Add(g, "years", pipeline.Add(g, "classify", updates, classify.New(nil, func() {})), y)
	events := pipeline.Add(g, "count", transitions, count.New(log, nil, y.begun))
	tallies := pipeline.Latest(g, events, func(e count.Event) string { return e.Tally.Unit })
	pipeline.Sink(g, "persist", tallies, persist.New(log, state, nil, time.Second, time.Second))
	pipeline.Sink(g, "logsink", events, logsink.New(logsink.Config{File: &file, Notes: notes, Debug: func() bool { return true }}))
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}

	var set []string
	lines := map[string]int{}
	for line := range strings.Lines(file.String()) {
		at, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		if strings.Contains(text, "the clock was set") {
			set = append(set, at+" "+text)
			continue
		}
		lines[at[:4]]++
		if marked := strings.HasSuffix(text, " (clock not trusted)"); marked != (at[:4] != "2026") {
			t.Errorf("marked: %v: %s", marked, line)
		}
	}
	want := []string{
		"2026-03-01 12:00:09 [WARNING] the clock was set (from: 1970-03-01 12:00:09, to: 2026-03-01 12:00:09)",
		"2019-03-01 12:00:17 [WARNING] the clock was set (from: 2026-03-01 12:00:17, to: 2019-03-01 12:00:17)",
	}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("what was set (-want +got):\n%s", diff)
	}
	if len(lines) != 3 {
		t.Errorf("lines by year: %v, want some of each", lines)
	}

	text, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := parseState(t, text)[unit]
	if tally := got.tally(r.Truth[unit]); !cases.Match(tally, r.Truth[unit]) {
		t.Errorf("(-journal +counted)\n- %+v\n+ %+v", r.Truth[unit], tally)
	}
	if !strings.HasPrefix(got.LastChangeTime, "2019") || !got.Untrusted || !got.LastCrash.Untrusted {
		t.Errorf("what was in 2019 is not marked:\n%s", text)
	}
}

// TestClock starts the daemon with state files from times when the clock was wrong.
func TestClock(t *testing.T) {
	const unit, other = "a.service", "00000000000000000000000000000000"
	const recently = " (just now|[0-9]+ min ago)" // depends on how fast this machine is
	now := count.Now()
	if now.Boot == "" {
		t.Fatal("this machine hides its boot id")
	}
	ahead, before := now.Time.AddDate(1, 0, 0), now.Time.Add(-150*time.Minute)
	in1970 := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	crash := func(at time.Time, more string) string {
		return fmt.Sprintf(`{"time": %q, "result": "signal", "code": 2, "status": 9, "invocation": "00"%s}`, at.Format(time.RFC3339), more)
	}
	clock := func(boot string) string { return fmt.Sprintf(`, "boot_id": %q, "monotonic_usec": %d`, boot, now.Clock) }
	for _, tt := range []struct {
		name    string
		changed time.Time
		mark    string // the mark of the change
		crash   string
		trusts  bool   // the daemon trusts its clock
		status  string // a regular expression for how long ago the crash was
	}{
		{"of an earlier version", before, "", crash(before, ""), true, " 2 h ago"},
		{"of this boot and set forward", in1970, `"last_change_untrusted": true, `, crash(in1970, `, "untrusted": true`+clock(now.Boot)), true, recently},
		{"of this boot and set forward a little", before, "", crash(before, clock(now.Boot)), true, recently},
		{"of another boot in 1970", in1970, `"last_change_untrusted": true, `, crash(in1970, `, "untrusted": true`+clock(other)), true, ""},
		{"of another boot", before, "", crash(before, clock(other)), true, " 2 h ago"},
		{"of another boot and behind its crash", before, "", crash(ahead, clock(other)), false, ""},
		{"of another boot and behind its last change", ahead, "", crash(before, clock(other)), false, ""},
		{"of a clock that was ahead as is known", ahead, `"last_change_untrusted": true, `, crash(ahead, `, "untrusted": true`+clock(other)), true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			text := fmt.Sprintf(`{%q: {"last_state": "active", "last_change_time": %q, "starts": 5, "stops": 4, "crashes": 1, "logged_unloaded": false,
				%s"running_when_first_seen": 1, "crash_causes": {"signal": 1}, "last_crash": %s,
				"life": {"active_state": "active", "sub_state": "running", "invocation": "11111111111111111111111111111111", "ran": true}}}`,
				unit, tt.changed.Local().Format(time.DateTime), tt.mark, tt.crash)
			parseState(t, []byte(text))
			if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			d := run(t, dir, fakebus.Start(t).Address, unit) // whose systemd does not have the unit
			if got, want := d.ready(), "^watching 1 services, 0 active, last crash a\\.service"+tt.status+"$"; !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("status %q does not match %s", got, want)
			}
			state := d.stop()[unit]
			if state.Stops != 4 || state.Unknown != 1 || state.Crashes != 1 || state.Untrusted == tt.trusts {
				t.Errorf("state: %+v", state)
			}
			log, err := os.ReadFile(d.log)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(log)) {
				if strings.Contains(line, unit+": ") && strings.HasSuffix(line, " (clock not trusted)\n") == tt.trusts {
					t.Errorf("trusted: %v, but it says: %s", tt.trusts, line)
				}
			}
		})
	}
}
