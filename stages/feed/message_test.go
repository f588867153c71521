package feed

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A tally is the same after it was told.
func TestRoundTrip(t *testing.T) {
	want := tally("a.service", 3)
	want.CrashCauses = []count.CauseCount{{Result: "exit-code", Crashes: 1}, {Result: "signal", Crashes: 2}}
	want.Times = count.Times{
		Spent: count.Spent{count.Up: 400*24*time.Hour + time.Microsecond, count.Down: 1234567 * time.Microsecond, count.Stopped: time.Minute, count.Unobserved: time.Second},
		Phase: count.Down, Clock: 12345678, Boot: "b", At: time.Unix(4, 0).UTC(),
	}
	want.ChangedUntrusted, want.Life.StateEntered = true, 12345677
	text, err := json.Marshal(unitOf(want))
	if err != nil {
		t.Fatal(err)
	}
	var u Unit
	if err := json.Unmarshal(text, &u); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, u.Tally()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := u.Tally().Times.SpentAt(count.Moment{Clock: 12345678 + 2e6, Boot: "b"}).Seconds()
	if want := (count.Seconds{Up: 400*24*60*60 + 1e-6, Down: 3.234567, Stopped: 60, Unobserved: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A glob stays one before any of its units is gone. Otherwise it would look like a unit that systemd does not
// have.
func TestRoundTripOfGlob(t *testing.T) {
	text, err := json.Marshal(unitOf(&count.Tally{Unit: "a*.service", State: "unloaded", Life: &classify.Life{Pattern: true, ActiveState: "unloaded", SubState: "dead"}}))
	if err != nil {
		t.Fatal(err)
	}
	var u Unit
	if err := json.Unmarshal(text, &u); err != nil {
		t.Fatal(err)
	}
	if !u.Tally().Life.Pattern {
		t.Errorf("%s is a unit", text)
	}
}

// Each listener gets the counters of the moment at which it connects.
func TestAbout(t *testing.T) {
	asked := uint64(0)
	b := startWith(t, filepath.Join(t.TempDir(), "feed"), Backlog)
	for range 2 {
		b.ready.Await("READY=1")
		about, err := About(t.Context(), b.socket)
		if err != nil || about.Version != "1" || about.Counters == nil {
			t.Fatalf("%+v, %v", about, err)
		}
		if asked++; about.Counters.Received != asked {
			t.Errorf("%d signals, want %d", about.Counters.Received, asked)
		}
	}
	b.stop()
	if _, err := About(t.Context(), b.socket); err == nil {
		t.Error("no monitor runs")
	}
}
