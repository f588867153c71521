package persist

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var zero = time.Date(2025, 7, 7, 0, 0, 0, 0, time.UTC)

// change is a change at a time since zero.
type change struct {
	at     time.Duration
	urgent bool
}

// play feeds changes to a pace that saves whenever it is due until end, and
// returns when it saved. check is called before each step.
func play(p *pace, changes []change, end time.Duration, check func(now time.Time)) (saves []time.Duration) {
	now := zero
	for {
		due, next := p.due(), zero.Add(end)
		if len(changes) > 0 {
			next = zero.Add(changes[0].at)
		}
		switch {
		case !due.IsZero() && !due.After(next):
			if due.After(now) { // or it is overdue
				now = due
			}
			check(now)
			p.taken()
			p.saved(now)
			saves = append(saves, now.Sub(zero))
		case len(changes) > 0:
			now = next
			check(now)
			p.changed(now, changes[0].urgent)
			changes = changes[1:]
		default:
			return saves
		}
	}
}

func every(gap time.Duration, n int, urgent bool) []change {
	changes := make([]change, n)
	for i := range changes {
		changes[i] = change{time.Duration(i) * gap, urgent}
	}
	return changes
}

func after(d time.Duration, changes []change) []change {
	for i := range changes {
		changes[i].at += d
	}
	return changes
}

func TestPace(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, tt := range []struct {
		name    string
		changes []change
		want    []time.Duration
	}{
		{"nothing", nil, nil},
		{"one change waits for quiet", []change{{0, false}}, []time.Duration{s}},
		{"quiet begins with the last change", []change{{0, false}, {900 * ms, false}, {1800 * ms, false}}, []time.Duration{2800 * ms}},
		{"two changes apart", []change{{0, false}, {5 * s, false}}, []time.Duration{s, 6 * s}},
		{"the deadline begins with the first change", every(500*ms, 25, false), []time.Duration{10 * s, 13 * s}},
		{"a crash is due at once", []change{{3 * s, true}}, []time.Duration{3 * s}},
		{"a crash takes along what waits", []change{{0, false}, {500 * ms, true}, {700 * ms, false}}, []time.Duration{500 * ms, 1700 * ms}},
		{"crashes in a burst, then once a minute", every(s, 13, true), []time.Duration{
			0, 1 * s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8 * s, 9 * s, 60 * s,
		}},
		{"a crash after the storm is due at once", append(every(s, 13, true), change{120 * s, true}), []time.Duration{
			0, 1 * s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8 * s, 9 * s, 60 * s, 120 * s,
		}},
		{"a burst is refilled one by one", append([]change{{0, true}}, after(60*s, every(0, 11, true))...), []time.Duration{
			0, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 120 * s,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &pace{quiet: time.Second, deadline: 10 * time.Second}
			if diff := cmp.Diff(tt.want, play(p, tt.changes, time.Hour, func(time.Time) {})); diff != "" {
				t.Errorf("saves (-want +got):\n%s", diff)
			}
		})
	}
}

// randomChanges come at all rates, from a storm to hours of nothing.
func randomChanges(r *rand.Rand) []change {
	var changes []change
	at := time.Duration(0)
	for range 1 + r.IntN(8) {
		gap := []time.Duration{time.Millisecond, 300 * time.Millisecond, 7 * time.Second, 50 * time.Second, time.Hour}[r.IntN(5)]
		urgent := r.IntN(3)
		for range r.IntN(60) {
			changes = append(changes, change{at, r.IntN(3) < urgent})
			at += time.Duration(r.Int64N(int64(2 * gap)))
		}
	}
	return changes
}

// However changes come: saves are bounded in every window, nothing waits longer
// than it may, and a crash outside of a storm does not wait.
func TestPaceBounds(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		quiet := time.Duration(1+r.IntN(5000)) * time.Millisecond
		p := &pace{quiet: quiet, deadline: quiet + time.Duration(r.IntN(90_000))*time.Millisecond}
		changes := randomChanges(r)
		saves := play(p, changes, 1000*time.Hour, func(now time.Time) {
			if first := p.first; !first.IsZero() && now.Sub(first) > max(p.deadline, refill) {
				t.Fatalf("seed %d: unsaved for %v", seed, now.Sub(first))
			}
		})
		if !p.due().IsZero() {
			t.Fatalf("seed %d: something is never saved", seed)
		}
		for i, from := range saves {
			for j, to := range saves[i:] {
				if n, limit := j+1, burst+int((to-from)/refill); n > limit {
					t.Fatalf("seed %d: %d saves from %v to %v, want at most %d", seed, n, from, to, limit)
				}
			}
		}
		for _, c := range changes {
			if c.urgent && !slices.Contains(saves, c.at) && !storm(saves, c.at) {
				t.Fatalf("seed %d: the crash at %v is not saved at once: %v", seed, c.at, saves)
			}
		}
	}
}

// storm reports whether a burst of saves was made in the time that refills it.
func storm(saves []time.Duration, at time.Duration) bool {
	n := 0
	for _, s := range saves {
		if s <= at && at-s < burst*refill {
			n++
		}
	}
	return n >= burst
}
