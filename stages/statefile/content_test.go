package statefile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/statefile/format/formattest"
)

func TestLoadPython(t *testing.T) {
	const six = `{"a.service": {"last_state": "active", "last_change_time": %s, "starts": 5, "stops": 3, "crashes": 1, "logged_unloaded": false}}`
	changed := time.Date(2025, 7, 7, 10, 15, 23, 0, time.Local)
	counted := count.Tally{Unit: "a.service", State: "active", Starts: 5, Stops: 3, Crashes: 1}
	for _, tt := range []struct {
		name string
		text string
		want func(*count.Tally)
	}{
		{"six keys", fmt.Sprintf(six, `"2025-07-07 10:15:23"`), func(u *count.Tally) { u.Changed = changed }},
		{"never changed", fmt.Sprintf(six, `null`), func(*count.Tally) {}},
		{"never changed, empty", fmt.Sprintf(six, `""`), func(*count.Tally) {}},
		{"another format of time", fmt.Sprintf(six, `"2025-07-07T10:15:23Z"`), func(u *count.Tally) {
			u.Changed = time.Date(2025, 7, 7, 10, 15, 23, 0, time.UTC)
		}},
		{"no time", `{"a.service": {"last_state": "active", "starts": 5, "stops": 3, "crashes": 1}}`, func(*count.Tally) {}},
		{"unloaded", `{"a.service": {"last_state": "unloaded", "starts": 5, "stops": 3, "crashes": 1, "logged_unloaded": true}}`, func(u *count.Tally) {
			u.State, u.LoggedUnloaded = "unloaded", true
		}},
		{"one line, other order, a key of another version", `{"a.service":{"x":[1],"crashes":1,"stops":3,"starts":5,"last_state":"active"}}`, func(*count.Tally) {}},
		{"saved by an editor on Windows", "\uFEFF" + strings.ReplaceAll(fmt.Sprintf(six, "null"), ",", ",\r\n"), func(*count.Tally) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			put(t, f.path, tt.text)
			want := counted
			tt.want(&want)
			same(t, map[string]*count.Tally{"a.service": &want}, loaded(t, f))
		})
	}
}

func TestRoundTrip(t *testing.T) {
	f := newFile(t)
	want := map[string]*count.Tally{formattest.Full().Unit: formattest.Full(), "never.service": {Unit: "never.service", State: "unloaded", LoggedUnloaded: true}}
	for range 2 {
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		same(t, want, loaded(t, f))
	}
}

// TestSecondsInTheFile wants the boot and the time of a phase in the file only if the cursor of the life
// does not show them.
func TestSecondsInTheFile(t *testing.T) {
	at := time.Date(2025, 7, 7, 10, 15, 23, 0, time.UTC)
	cursor := func(boot string) records.Place {
		return records.Place(fmt.Sprintf("b=%s;m=%x;t=%x", boot, 90_000_000, at.Add(20*time.Second).UnixMicro()))
	}
	for _, tt := range []struct {
		name   string
		at     time.Time
		cursor records.Place
		keys   []string
	}{
		{"the cursor shows both", at, cursor("b"), []string{"monotonic_usec"}},
		{"it is of another boot", at, cursor("c"), []string{"since", "boot_id", "monotonic_usec"}},
		{"the clock was not trusted", time.Time{}, cursor("b"), []string{"boot_id", "monotonic_usec"}},
		{"there is no cursor", at, "", []string{"since", "boot_id", "monotonic_usec"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			u := formattest.Running("a.service", 10)
			u.Life.Cursor = tt.cursor
			u.Times = count.Times{Spent: count.Spent{count.Up: time.Hour, count.Down: time.Second / 2}, Phase: count.Up, Clock: 70_000_000, Boot: "b", At: tt.at}
			want := map[string]*count.Tally{"a.service": u}
			if err := f.Save(want); err != nil {
				t.Fatal(err)
			}
			var keys []string
			text := read(t, f.path)
			for _, key := range []string{"since", "boot_id", "monotonic_usec"} {
				if strings.Contains(text, `"`+key+`": `) {
					keys = append(keys, key)
				}
			}
			if diff := cmp.Diff(tt.keys, keys); diff != "" || !strings.Contains(text, `"up": 3600`) || !strings.Contains(text, `"down": 0.5`) || strings.Contains(text, `"stopped"`) {
				t.Errorf("keys (-want +got):\n%s\n%s", diff, text)
			}
			same(t, want, loaded(t, f))
		})
	}
}

// TestClockInTheFile wants a mark beside a time only if that is untrusted. The monotonic
// clock of a crash is in the file only if its boot is known.
func TestClockInTheFile(t *testing.T) {
	crashed := time.Date(1970, 1, 1, 0, 1, 10, 0, time.UTC)
	last := &count.Crash{Time: crashed, Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "01"}
	for _, tt := range []struct {
		name   string
		tally  count.Tally
		keys   []string // which of the keys above the file has
		loaded func(*count.Tally)
	}{
		{"trusted", count.Tally{LastCrash: last}, nil, nil},
		{"change not trusted", count.Tally{Changed: crashed, ChangedUntrusted: true}, []string{`"last_change_untrusted": true`}, nil},
		{"crash not trusted", count.Tally{LastCrash: with(last, func(c *count.Crash) { c.Untrusted = true })}, []string{`"untrusted": true`}, nil},
		{"in a boot", count.Tally{LastCrash: with(last, func(c *count.Crash) { c.Boot, c.Clock = "b", 70_000_000 })},
			[]string{`"boot_id": "b"`, `"monotonic_usec": 70000000`}, nil},
		{"in a boot that is not known", count.Tally{LastCrash: with(last, func(c *count.Crash) { c.Clock = 70_000_000 })}, nil,
			func(t *count.Tally) { t.LastCrash.Clock = 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			tt.tally.Unit, tt.tally.State = "a.service", "active"
			if err := f.Save(map[string]*count.Tally{"a.service": &tt.tally}); err != nil {
				t.Fatal(err)
			}
			var keys []string
			for line := range strings.Lines(read(t, f.path)) {
				for _, key := range []string{"untrusted", "boot_id", "monotonic_usec"} {
					if strings.Contains(line, key) {
						keys = append(keys, strings.Trim(line, " ,\n"))
					}
				}
			}
			if diff := cmp.Diff(tt.keys, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if tt.loaded != nil {
				tt.loaded(&tt.tally)
			}
			same(t, map[string]*count.Tally{"a.service": &tt.tally}, loaded(t, f))
		})
	}
}

func with(c *count.Crash, change func(*count.Crash)) *count.Crash {
	changed := *c
	change(&changed)
	return &changed
}

// TestLoadWithoutClock loads a file of an earlier version, which has neither marks nor
// clocks, and a clock without a boot ID: it could belong to any boot, so it is dropped.
func TestLoadWithoutClock(t *testing.T) {
	crash := &count.Crash{Time: time.Date(2025, 7, 7, 10, 15, 22, 0, time.UTC), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "01"}
	for _, more := range []string{"", `, "monotonic_usec": 5`} {
		f := newFile(t)
		put(t, f.path, `{"a.service": {"last_state": "active", "starts": 0, "stops": 0, "crashes": 1, "crash_causes": {"signal": 1},
			"last_crash": {"time": "2025-07-07T10:15:22Z", "result": "signal", "code": 2, "status": 9, "invocation": "01"`+more+`}}}`)
		want := count.Tally{Unit: "a.service", State: "active", Crashes: 1, CrashCauses: []count.CauseCount{{Result: "signal", Crashes: 1}}, LastCrash: crash}
		same(t, map[string]*count.Tally{"a.service": &want}, loaded(t, f))
	}
}
