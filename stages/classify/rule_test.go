package classify

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// TestEvidence wants each fact to say by which rule it was counted, and where that was seen.
func TestEvidence(t *testing.T) {
	seen := map[Rule]bool{NoRule: true}
	for _, tt := range []struct {
		name    string
		updates []decode.Update
		want    []string // of the last update
	}{
		{"first seen", []decode.Update{at("active/running", 1, snapshot)}, []string{"seen active: first-sight snapshot"}},
		{"started", []decode.Update{at("inactive/dead", 0, snapshot), at("inactive/dead", 1), at("active/running", 1)},
			[]string{"inactive -> active/running: new-state change", "started: new-invocation change"}},
		{"crashed", []decode.Update{at("active/running", 1, snapshot), at("failed/failed", 1, result("signal", killed, 9))},
			[]string{"active -> failed/failed: new-state change", "crashed signal: down-after-run change"}},
		{"crashed, in a snapshot", []decode.Update{at("active/running", 1, snapshot), at("failed/failed", 1, snapshot, result("signal", killed, 9))},
			[]string{"active -> failed/failed: new-state snapshot", "crashed signal: down-after-run snapshot", "caught up: "}},
		{"restart scheduled", []decode.Update{at("activating/auto-restart", 1, snapshot), at("activating/auto-restart", 1, restarts(1))},
			[]string{"restarted: n-restarts-grew change"}},
		{"another run is there", []decode.Update{at("active/running", 1, snapshot), at("active/running", 2, snapshot)},
			[]string{"ended unknown at least: next-run snapshot", "started at least: new-invocation snapshot", "caught up at least: "}},
		{"read in the journal", []decode.Update{at("active/running", 1, snapshot), past(2, run(1, "exit-code", 1), run(2, "", 0))},
			[]string{"crashed exit-code: record journal", "restarted: record journal", "started: new-invocation journal"}},
		{"boot over", []decode.Update{at("active/running", 1, snapshot), cut(records.PowerLoss)},
			[]string{"stopped power-loss: boot-over journal"}},
		{"restarts that the journal lacks", []decode.Update{at("active/running", 1, recovered()), fromCursor(1, past(1, run(1, "", 0)))},
			[]string{"restarted: restart-lacks journal"}},
		{"failed for good", []decode.Update{at("activating/auto-restart", 1, snapshot), at("failed/failed", 1, in(NotFound))},
			[]string{"activating -> failed/failed: new-state change", "gave up not-found: failed-for-good change"}},
		{"job over", []decode.Update{
			at("activating/auto-restart", 1, snapshot), at("activating/auto-restart", 1, restarts(1), job(7)), at("inactive/dead", 1, restarts(1)),
		}, []string{"activating -> inactive/dead: new-state change", "gave up resources: restart-job-over change"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var life Life
			var facts []Transition
			for _, u := range tt.updates {
				life, facts = step(nil, life, u)
			}
			var got []string
			for i, line := range lines(facts) {
				line += ": "
				if by := facts[i].Rule; by != NoRule {
					line += fmt.Sprintf("%v %v", by, facts[i].Source)
					seen[by] = true
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
	for rule := range rules {
		if !seen[rule] {
			t.Errorf("nothing was counted by the rule %v", rule)
		}
	}
}
