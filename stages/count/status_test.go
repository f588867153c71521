package count

import (
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	crashed := func(unit, state string, ago time.Duration) Tally {
		return Tally{Unit: unit, State: state, Crashes: 1, LastCrash: &Crash{Time: noon.Add(-ago)}}
	}
	for _, tt := range []struct {
		name  string
		units []Tally
		want  string
	}{
		{"nothing", nil, ""},
		{"states", []Tally{
			{Unit: "a", State: "active"}, {Unit: "b", State: "reloading"}, {Unit: "c", State: "activating"}, {Unit: "d", State: "failed"}, {Unit: "e", State: "unloaded"},
		}, "watching 5 services, 2 active"},
		{"the last crash of all", []Tally{crashed("a", "active", 3*time.Hour), crashed("b", "failed", 3*time.Minute), {Unit: "c", State: "active"}},
			"watching 3 services, 2 active, last crash b 3 min ago"},
		{"crashes of an imported file", []Tally{{Unit: "a", State: "active", Crashes: 7}}, "watching 1 services, 1 active"},
		{"seconds", []Tally{crashed("a", "active", time.Minute-1)}, "watching 1 services, 1 active, last crash a just now"},
		{"it was later than now", []Tally{crashed("a", "active", -time.Hour)}, "watching 1 services, 1 active, last crash a"},
		{"a minute", []Tally{crashed("a", "active", time.Minute)}, "watching 1 services, 1 active, last crash a 1 min ago"},
		{"nearly an hour", []Tally{crashed("a", "active", time.Hour-1)}, "watching 1 services, 1 active, last crash a 59 min ago"},
		{"an hour", []Tally{crashed("a", "active", time.Hour)}, "watching 1 services, 1 active, last crash a 1 h ago"},
		{"nearly two days", []Tally{crashed("a", "active", 48*time.Hour-1)}, "watching 1 services, 1 active, last crash a 47 h ago"},
		{"days", []Tally{crashed("a", "active", 60*time.Hour)}, "watching 1 services, 1 active, last crash a 2 days ago"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := make(map[string]*Tally)
			for _, tally := range tt.units {
				known[tally.Unit] = &tally
			}
			if got := keeper(known).status(Moment{noon, hour, boot}); got != tt.want {
				t.Errorf("status (-want +got):\n-%s\n+%s", tt.want, got)
			}
		})
	}
}
