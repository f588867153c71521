package classify

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/bus"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		name             string
		cause            Cause
		exitCode, signal string
	}{
		{"exit", Cause{"exit-code", exited, 203}, "203", "none"},
		{"killed", Cause{"signal", killed, 9}, "none", "9 (SIGKILL)"},
		{"dumped", Cause{"core-dump", dumped, 11}, "none", "11 (SIGSEGV)"},
		{"real time", Cause{"signal", killed, 36}, "none", "36 (SIGRTMIN+2)"},
		{"no known signal", Cause{"signal", killed, 99}, "none", "99"},
		{"no main process", Cause{"exit-code", 0, 0}, "none", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.cause.ExitCode(); got != tt.exitCode {
				t.Errorf("ExitCode: %s, want %s", got, tt.exitCode)
			}
			if got := tt.cause.Signal(); got != tt.signal {
				t.Errorf("Signal: %s, want %s", got, tt.signal)
			}
		})
	}
}

// These transitions are read in the journal. The end of a run has the clock of its own record. The
// unit is first seen at the clock of its first run. The other transitions have no clock.
func TestClock(t *testing.T) {
	crashed := received(4, run(1, "signal", 1))
	crashed.EndClock = 7
	u := decode.Update{Kind: decode.Past, Unit: "a.service", Account: bus.Account{Runs: []records.Run{crashed, received(9, run(2, "", 0))}, NewRuns: 2}}
	_, facts := step(nil, Life{}, u)
	var got []string
	for i, line := range lines(facts) {
		got = append(got, fmt.Sprintf("%s %d", line, facts[i].Clock))
	}
	want := []string{"seen inactive 4", "started 4", "crashed signal 7", "restarted 0", "started 9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts and their clocks (-want +got):\n%s", diff)
	}
}
