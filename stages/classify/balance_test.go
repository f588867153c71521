package classify

import (
	"testing"

	"service-monitor/stages/decode"
)

// Over the whole product of states, nothing panics and the counts balance.
func TestProductOfStatesBalances(t *testing.T) {
	states := []string{
		"inactive/dead", "failed/failed", "failed/failed-before-auto-restart", "inactive/dead-before-auto-restart",
		"activating/start", "activating/auto-restart", "activating/auto-restart-queued", "active/running", "active/exited",
		"deactivating/stop-sigterm", "reloading/reload", "maintenance/cleaning", "refreshing/refresh-extensions", "unheard/of",
	}
	results := []string{success, "exit-code", "start-limit-hit", "resources", ""}
	var all []decode.Update
	for _, state := range states {
		for invocation := range byte(3) {
			for _, r := range results {
				all = append(all, at(state, invocation, result(r, 0, 0)), at(state, invocation, snapshot, result(r, 0, 0), entered(1)))
			}
		}
	}
	for i, first := range all {
		for _, second := range all {
			for _, third := range []decode.Update{first, all[(i*7)%len(all)]} {
				balance(t, first, second, third)
			}
		}
	}
}

func balance(t *testing.T, updates ...decode.Update) {
	t.Helper()
	var life Life
	var got tally
	before := 0
	for i, u := range updates {
		var facts []Transition
		life, facts = step(nil, life, u)
		got.add(facts)
		running := 0
		if life.Running() {
			running = 1
		}
		if i == 0 {
			before = got.ends() + running - got.starts
		}
		if got.starts+before != got.ends()+running {
			t.Fatalf("%+v with %d running and %d before does not balance after %+v", got, running, before, updates[:i+1])
		}
	}
}
