package count

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

// seen is a tally of a unit that runs or not, as a monitor may have counted it.
func seen(before int64, starts, stops, crashes uint64) Tally {
	t := Tally{Unit: "a.service", State: "active", Starts: starts, Stops: stops, Crashes: crashes, FirstSeenRunning: before, Life: &classify.Life{ActiveState: "active", Invocation: decode.Invocation{1}, Ran: true}}
	if crashes > 0 {
		t.CrashCauses = []CauseCount{{"signal", crashes}}
		t.LastCrash = &Crash{Time: noon, Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}}
	}
	if int64(starts)+before == int64(stops+crashes) {
		t.State, t.Life = "inactive", &classify.Life{ActiveState: "inactive", Invocation: decode.Invocation{1}, Ended: true}
	}
	return t
}

func TestJoin(t *testing.T) {
	unseen := Tally{Unit: "a.service", State: "active", Starts: 7, Stops: 9}
	for _, tt := range []struct {
		name           string
		since, earlier Tally
		want           string // starts, stops, crashes, unknown, before, at least
	}{
		{"the same run goes on", seen(1, 0, 0, 0), seen(0, 5, 4, 0), "5 4 0 0 0 true"},
		{"and what came since", seen(1, 3, 1, 2), seen(1, 5, 3, 2), "8 4 4 0 1 true"},
		{"it was down in between, and is", seen(0, 0, 0, 0), seen(0, 5, 4, 1), "5 4 1 0 0 true"},
		{"its run ended while nobody watched", seen(0, 0, 0, 0), seen(0, 5, 4, 0), "5 4 0 1 0 true"},
		{"and others began since", seen(0, 2, 1, 0), seen(0, 5, 4, 0), "7 5 0 1 0 true"},
		{"a run began while nobody watched", seen(1, 0, 0, 0), seen(0, 5, 4, 1), "5 4 1 0 1 true"},
		{"earlier counts of another monitor", seen(1, 2, 2, 0), unseen, "9 11 0 0 3 true"},
		{"and of this one before it", unseen, seen(0, 5, 4, 0), "12 13 0 0 0 false"},
		{"nothing", seen(0, 0, 0, 0), Tally{Unit: "a.service", State: "inactive"}, "0 0 0 0 0 true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := tt.since.Join(&tt.earlier)
			if faults := j.Check(); faults != nil {
				t.Errorf("%+v: %q", j, faults)
			}
			got := fmt.Sprint(j.Starts, j.Stops, j.Crashes, j.Unknown, j.FirstSeenRunning, j.AtLeast)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("joined (-want +got):\n%s", diff)
			}
		})
	}
}

// The crashes of both are there by their causes, and those of neither are changed.
func TestJoinCrashes(t *testing.T) {
	since, earlier := seen(0, 3, 0, 2), seen(0, 4, 0, 3)
	earlier.CrashCauses = []CauseCount{{"exit-code", 1}, {"signal", 2}}
	j := since.Join(&earlier)
	if diff := cmp.Diff([]CauseCount{{"signal", 4}, {"exit-code", 1}}, j.CrashCauses); diff != "" || j.LastCrash != since.LastCrash {
		t.Errorf("causes (-want +got):\n%s\nlast %v", diff, j.LastCrash)
	}
	if since.CrashCauses[0].Crashes != 2 || earlier.CrashCauses[1].Crashes != 2 {
		t.Error("a tally that others have was changed")
	}
	since.Crashes, since.CrashCauses, since.LastCrash, since.Starts = 0, nil, nil, 1
	if j := since.Join(&earlier); j.LastCrash != earlier.LastCrash || j.Check() != nil {
		t.Errorf("the last crash is %+v (%q)", j.LastCrash, j.Check())
	}
}

// Whatever two monitors have counted, no counter goes down, and the sum holds.
func TestJoinAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 9))
	any := func() Tally {
		starts, before := r.Uint64N(9), r.Int64N(2)
		ends := starts + uint64(before)
		if ends > 0 && r.IntN(2) == 0 {
			ends--
		}
		crashes := r.Uint64N(ends + 1)
		return seen(before, starts, ends-crashes, crashes)
	}
	for range 1000 {
		since, earlier := any(), any()
		j := since.Join(&earlier)
		if faults := j.Check(); faults != nil || j.FirstSeenRunning < 0 || j.FirstSeenRunning > 2 {
			t.Fatalf("%+v and %+v: %+v: %q", earlier, since, j, faults)
		}
		if j.Starts != since.Starts+earlier.Starts || j.Stops != since.Stops+earlier.Stops || j.Crashes != since.Crashes+earlier.Crashes {
			t.Fatalf("%+v and %+v: %+v", earlier, since, j)
		}
	}
}
