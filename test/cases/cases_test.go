package cases

import (
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// TestAll checks that all cases can run together.
func TestAll(t *testing.T) {
	caseOf := map[string]string{}
	claim := func(unit, name string) {
		if other, taken := caseOf[unit]; taken && other != name {
			t.Errorf("%s is in %q and in %q", unit, other, name)
		}
		caseOf[unit] = name
	}
	names := map[string]bool{}
	for _, c := range All() {
		if names[c.Name] {
			t.Errorf("there are two cases %q", c.Name)
		}
		names[c.Name] = true
		if len(c.Want) == 0 || len(c.Script) == 0 {
			t.Errorf("%q: nothing is done, or nothing is wanted", c.Name)
		}
		for unit := range c.Units {
			claim(unit, c.Name)
		}
		for unit, want := range c.Want {
			claim(unit, c.Name)
			if !balanced(want) {
				t.Errorf("%q: no life of %s can be %+v", c.Name, unit, want)
			}
		}
		for _, step := range c.Script {
			if strings.Contains(step.Shell, "daemon-reload") && !c.Reloads {
				t.Errorf("%q reloads, and does not say so", c.Name)
			}
		}
	}
}

// balanced reports whether each run has ended once or goes on.
func balanced(t gateway.Tally) bool {
	ends := t.Stops + t.Crashes
	if t.Running {
		ends++
	}
	return t.Starts == ends && t.Restarts < max(1, t.Starts) && (t.Crashes > 0) == (t.Last != gateway.Crash{})
}

func TestMatch(t *testing.T) {
	want := gateway.Tally{Starts: 2, Crashes: 1, Running: true, Last: gateway.Crash{Result: "signal", Code: "killed", Status: 6}}
	tests := []struct {
		name    string
		change  func(*gateway.Tally)
		match   bool
		exactly bool
	}{
		{"the same", func(*gateway.Tally) {}, true, true},
		{"a core", func(t *gateway.Tally) { t.Last.Result, t.Last.Code = "core-dump", "dumped" }, true, true},
		{"scheduled once more", func(t *gateway.Tally) { t.Scheduled++ }, true, true},
		{"no code", func(t *gateway.Tally) { t.Last.Code, t.Last.Status = "", 0 }, true, false},
		{"another result", func(t *gateway.Tally) { t.Last.Result = "exit-code" }, false, false},
		{"another signal", func(t *gateway.Tally) { t.Last.Status = 9 }, false, false},
		{"exited", func(t *gateway.Tally) { t.Last.Code = "exited" }, false, false},
		{"one more start", func(t *gateway.Tally) { t.Starts++ }, false, false},
		{"one more restart", func(t *gateway.Tally) { t.Restarts++ }, false, false},
		{"not running", func(t *gateway.Tally) { t.Running = false }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := want
			tt.change(&got)
			if Match(want, got) != tt.match || MatchExactly(want, got) != tt.exactly {
				t.Errorf("Match %t, MatchExactly %t, want %t, %t", Match(want, got), MatchExactly(want, got), tt.match, tt.exactly)
			}
		})
	}
}
