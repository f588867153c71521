package persist

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"service-monitor/pipeline/pipelinetest"

	"github.com/google/go-cmp/cmp"
)

var zero = time.Date(2025, 7, 7, 0, 0, 0, 0, time.UTC)

// A change happens this long after the beginning of the test.
type change struct {
	at time.Duration
	urgency
}

// play gives changes to a pace until end, saves whenever a save is due, and returns the
// times of the saves. It calls check before each step.
func play(p *pace, units int, changes []change, end time.Duration, check func(now time.Time)) (saves []time.Duration) {
	now := zero
	for {
		due, next := p.due(), zero.Add(end)
		if len(changes) > 0 {
			next = zero.Add(changes[0].at)
		}
		switch {
		case !due.IsZero() && !due.After(next):
			if due.After(now) { // otherwise the save is overdue, and happens now
				now = due
			}
			check(now)
			p.taken()
			p.saved(now, units)
			saves = append(saves, now.Sub(zero))
		case len(changes) > 0:
			now = next
			check(now)
			p.changed(now, changes[0].urgency)
			changes = changes[1:]
		default:
			return saves
		}
	}
}

func every(gap time.Duration, n int, u urgency) []change {
	changes := make([]change, n)
	for i := range changes {
		changes[i] = change{time.Duration(i) * gap, u}
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
		{"one change waits for quiet", []change{{0, normal}}, []time.Duration{s}},
		{"quiet begins with the last change", []change{{0, normal}, {900 * ms, normal}, {1800 * ms, normal}}, []time.Duration{2800 * ms}},
		{"two changes apart", []change{{0, normal}, {5 * s, normal}}, []time.Duration{s, 6 * s}},
		{"the deadline begins with the first change", every(500*ms, 25, normal), []time.Duration{10 * s, 13 * s}},
		{"what cannot wait is due at once", []change{{3 * s, atOnce}}, []time.Duration{3 * s}},
		{"it takes along what waits", []change{{0, normal}, {500 * ms, atOnce}, {700 * ms, normal}}, []time.Duration{500 * ms, 1700 * ms}},
		{"a crash is due when it has come to rest", []change{{3 * s, crash}}, []time.Duration{3300 * ms}},
		{"a crash takes along what waits", []change{{0, normal}, {500 * ms, crash}, {900 * ms, normal}}, []time.Duration{800 * ms, 1900 * ms}},
		{"a crash takes its restart along", []change{{0, crash}, {100 * ms, normal}, {105 * ms, normal}}, []time.Duration{405 * ms}},
		{"a restart after seconds is a change of its own", []change{{0, crash}, {5 * s, normal}}, []time.Duration{300 * ms, 6 * s}},
		{"a crash that does not come to rest", append([]change{{0, crash}}, after(100*ms, every(100*ms, 12, normal))...), []time.Duration{s, 2200 * ms}},
		{"crashes in a burst, then once a minute", every(s, 13, crash), []time.Duration{
			300 * ms, 1300 * ms, 2300 * ms, 3300 * ms, 4300 * ms, 5300 * ms, 6300 * ms, 7300 * ms, 8300 * ms, 9300 * ms, 60300 * ms,
		}},
		{"crashes all day, and then every 16 minutes", every(5*s, 560, crash), []time.Duration{
			300 * ms, 5300 * ms, 10300 * ms, 15300 * ms, 20300 * ms, 25300 * ms, 30300 * ms, 35300 * ms, 40300 * ms, 45300 * ms,
			60300 * ms, 180300 * ms, 420300 * ms, 900300 * ms, 1860300 * ms, 2820300 * ms,
		}},
		{"a crash after the storm is due as ever", append(every(s, 13, crash), change{61*s + 2*refill, crash}), []time.Duration{
			300 * ms, 1300 * ms, 2300 * ms, 3300 * ms, 4300 * ms, 5300 * ms, 6300 * ms, 7300 * ms, 8300 * ms, 9300 * ms, 60300 * ms, 181300 * ms,
		}},
		{"it waits where the storm may go on", append(every(s, 13, crash), change{120 * s, crash}), []time.Duration{
			300 * ms, 1300 * ms, 2300 * ms, 3300 * ms, 4300 * ms, 5300 * ms, 6300 * ms, 7300 * ms, 8300 * ms, 9300 * ms, 60300 * ms, 180300 * ms,
		}},
		{"a burst is refilled one by one", append([]change{{0, atOnce}}, after(60*s, every(0, 11, atOnce))...), []time.Duration{
			0, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 120 * s,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &pace{quiet: time.Second, deadline: 10 * time.Second}
			if diff := cmp.Diff(tt.want, play(p, 12, tt.changes, time.Hour, func(time.Time) {})); diff != "" {
				t.Errorf("saves (-want +got):\n%s", diff)
			}
		})
	}
}

// randomChanges returns changes at all rates: from a storm to hours without a change.
func randomChanges(r *rand.Rand) []change {
	var changes []change
	at := time.Duration(0)
	for range 1 + r.IntN(8) {
		gap := []time.Duration{time.Millisecond, 300 * time.Millisecond, 7 * time.Second, 50 * time.Second, time.Hour}[r.IntN(5)]
		least := r.IntN(3)
		for range r.IntN(60) {
			changes = append(changes, change{at, urgency(r.IntN(4 - least))})
			at += time.Duration(r.Int64N(int64(2 * gap)))
		}
	}
	return changes
}

// TestPaceBounds plays random changes. In every span of time the number of saves is
// bounded, and no change waits longer than it may. Outside of a storm an urgent change
// waits only as long as its urgency says.
func TestPaceBounds(t *testing.T) {
	may := []time.Duration{crash: restless, soon: gather, atOnce: 0}
	for seed := range pipelinetest.Seeds(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		quiet := time.Duration(1+r.IntN(5000)) * time.Millisecond
		p := &pace{quiet: quiet, deadline: quiet + time.Duration(r.IntN(90_000))*time.Millisecond}
		changes := randomChanges(r)
		saves := play(p, 12, changes, 1000*time.Hour, func(now time.Time) {
			if first := p.first; !first.IsZero() && now.Sub(first) > max(p.deadline, refills*refill) {
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
			in := func(saved time.Duration) bool { return c.at <= saved && saved <= c.at+may[c.urgency] }
			if c.urgency != normal && !slices.ContainsFunc(saves, in) && !storm(saves, c.at) {
				t.Fatalf("seed %d: what happened at %v and may wait for %v is not saved: %v", seed, c.at, may[c.urgency], saves)
			}
		}
	}
}

// storm reports whether the burst is used up at a time: there was a burst of saves within
// the time that refills a burst, and a save within the time that refills one save.
func storm(saves []time.Duration, at time.Duration) bool {
	n, last := 0, time.Duration(0)
	for _, s := range saves {
		if s <= at && at-s < burst*refills*refill {
			n, last = n+1, s
		}
	}
	return n >= burst && at-last < refills*refill
}

// TestPaceUnits wants fewer saves if a save writes more, and if a storm lasts longer.
func TestPaceUnits(t *testing.T) {
	const minutes = time.Minute
	for _, tt := range []struct {
		units int
		want  []time.Duration // after the burst
	}{
		{0, []time.Duration{1, 3, 7, 15, 31, 47}}, {16, []time.Duration{1, 3, 7, 15, 31, 47}},
		{17, []time.Duration{2, 6, 14, 30, 46}}, {160, []time.Duration{10, 26, 42}}, {10_000, []time.Duration{16, 32, 48}},
	} {
		p := &pace{quiet: time.Second, deadline: 10 * time.Second}
		var got []time.Duration
		for _, at := range play(p, tt.units, every(time.Second, 50*60, crash), 49*time.Minute, func(time.Time) {})[burst:] {
			got = append(got, at.Round(minutes)/minutes)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%d units: minutes of saves (-want +got):\n%s", tt.units, diff)
		}
	}
}
