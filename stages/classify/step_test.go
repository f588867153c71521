package classify

import (
	"testing"

	"service-monitor/stages/decode"
)

// A story is a sequence of updates, and the facts that are in it. Most sequences are those that
// systemd 252 and 257 were seen to send.
type story struct {
	name    string
	updates []decode.Update
	want    []string
}

func testStories(t *testing.T, stories []story) {
	t.Helper()
	for _, tt := range stories {
		t.Run(tt.name, func(t *testing.T) { walk(t, tt.updates, tt.want) })
	}
}

func TestLives(t *testing.T) { testStories(t, lives) }

// lives are units that run and end while the monitor watches.
var lives = []story{{
	name: "start and stop, each announced twice",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot), at("inactive/dead", 1), at("inactive/dead", 1), at("active/running", 1), at("active/running", 1),
		at("deactivating/stop-sigterm", 1), at("inactive/dead", 1), at("inactive/dead", 1),
	},
	want: []string{
		"seen inactive", "inactive -> active/running", "started",
		"active -> deactivating/stop-sigterm", "deactivating -> inactive/dead", "stopped success",
	},
}, {
	name: "running when first seen",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("active/running", 1), at("failed/failed", 1, failed), at("failed/failed", 1, failed),
	},
	want: []string{"seen active", "active -> failed/failed", "crashed exit-code"},
}, {
	name: "crash and automatic restart on 252",
	updates: []decode.Update{
		at("active/running", 1, snapshot),
		at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed), at("activating/auto-restart", 1, failed, restarts(1)),
		at("inactive/dead", 2, restarts(1)), at("inactive/dead", 2, restarts(1)), at("active/running", 2, restarts(1)),
	},
	want: []string{
		"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
		"activating -> inactive/dead", "inactive -> active/running", "started",
	},
}, {
	name: "crash and automatic restart on 257",
	updates: []decode.Update{
		at("active/running", 1, snapshot),
		at("failed/failed-before-auto-restart", 1, failed), at("activating/auto-restart", 1, failed),
		at("activating/auto-restart-queued", 2, restarts(1)), at("active/running", 2, restarts(1)),
	},
	want: []string{
		"seen active", "active -> failed/failed-before-auto-restart", "crashed exit-code", "failed -> activating/auto-restart",
		"activating -> activating/auto-restart-queued", "restarted", "activating -> active/running", "started",
	},
}, {
	name: "RestartMode=direct: never failed",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("activating/auto-restart", 1, failed),
		at("activating/auto-restart-queued", 2, restarts(1)), at("active/running", 2, restarts(1)),
	},
	want: []string{
		"seen active", "active -> activating/auto-restart", "crashed exit-code",
		"activating -> activating/auto-restart-queued", "restarted", "activating -> active/running", "started",
	},
}, {
	name: "refresh and reload",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("refreshing/refresh-extensions", 1), at("refreshing/refresh-credentials", 1), at("reloading/reload-signal", 1),
		at("reloading/reload-notify", 1), at("active/running", 1), at("refreshing/refresh-extensions", 1), at("failed/failed", 1, failed),
	},
	want: []string{
		"seen active", "active -> refreshing/refresh-extensions", "refreshing -> refreshing/refresh-credentials", "refreshing -> reloading/reload-signal",
		"reloading -> reloading/reload-notify", "reloading -> active/running", "active -> refreshing/refresh-extensions",
		"refreshing -> failed/failed", "crashed exit-code",
	},
}, {
	name: "refreshing when first seen",
	updates: []decode.Update{
		at("refreshing/refresh-extensions", 1, snapshot), at("active/running", 1), at("inactive/dead", 1),
	},
	want: []string{"seen refreshing", "refreshing -> active/running", "active -> inactive/dead", "stopped success"},
}, {
	name: "frozen, killed, and thawed: a change that shows nothing, and then the crash",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("active/running", 1), at("active/running", 1), at("failed/failed", 1, failed), at("failed/failed", 1, failed),
	},
	want: []string{"seen active", "active -> failed/failed", "crashed exit-code"},
}, {
	name: "stop while it waits to restart",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed),
		at("inactive/dead", 1, failed),
	},
	want: []string{
		"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "activating -> inactive/dead",
	},
}, {
	name: "oneshot, never active",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot), at("inactive/dead", 1), at("activating/start", 1), at("inactive/dead", 1),
	},
	want: []string{
		"seen inactive", "inactive -> activating/start", "started", "activating -> inactive/dead", "stopped success",
	},
}, {
	name: "fails without ever being up",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot), at("inactive/dead", 1, entered(5)), at("inactive/dead", 1, entered(5)), at("failed/failed", 1, entered(9), result("resources", 0, 0)),
	},
	want: []string{"seen inactive", "inactive -> failed/failed", "started", "crashed resources"},
}, {
	name: "fails without ever being up, again",
	updates: []decode.Update{
		at("failed/failed", 1, snapshot, entered(5)),
		at("failed/failed", 2, entered(5)), at("failed/failed", 2, entered(9), result("resources", 0, 0)),
	},
	want: []string{"seen failed", "started", "crashed resources"},
}, {
	name: "skipped by ExecCondition=",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot), at("inactive/dead", 1), at("activating/condition", 1), at("inactive/dead", 1, result(execCondition, 0, 0)),
	},
	want: []string{
		"seen inactive", "inactive -> activating/condition", "started", "activating -> inactive/dead", "stopped exec-condition",
	},
}, {
	name:    "reload, reset-failed and an unmet condition are no events",
	updates: []decode.Update{at("failed/failed", 1, snapshot, failed), at("inactive/dead", 1), at("inactive/dead", 1)},
	want:    []string{"seen failed", "failed -> inactive/dead"},
}, {
	name: "reload",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("reloading/reload", 1), at("active/running", 1),
	},
	want: []string{"seen active", "active -> reloading/reload", "reloading -> active/running"},
}, {
	name: "a unit that appears was not there before",
	updates: []decode.Update{
		at("inactive/dead", 1), at("active/running", 1),
	},
	want: []string{"seen inactive", "inactive -> active/running", "started"},
}, {
	name:    "not there, then created and started",
	updates: []decode.Update{at("inactive/dead", 0, snapshot, unloaded), at("inactive/dead", 1), at("active/running", 1)},
	want:    []string{"seen unloaded", "unloaded -> inactive/dead", "inactive -> active/running", "started"},
}, {
	name:    "announced, not up, when first seen",
	updates: []decode.Update{at("inactive/dead", 1, snapshot), at("active/running", 1), at("failed/failed", 1, failed)},
	want:    []string{"seen inactive", "inactive -> active/running", "started", "active -> failed/failed", "crashed exit-code"},
}, {
	name:    "forgotten, and known again",
	updates: []decode.Update{at("active/running", 1, snapshot), {Kind: decode.Forgotten, Unit: "a.service"}, at("active/running", 1, snapshot)},
	want:    []string{"seen active", "forgotten", "seen active"},
}, {
	name: "failed to start, twice, in the state in which it was",
	updates: []decode.Update{
		at("failed/failed", 1, snapshot, failed, entered(10)), at("failed/failed", 2, failed, entered(20)),
		at("failed/failed", 3, failed, entered(20)), at("failed/failed", 3, failed, entered(30)), at("inactive/dead", 3, entered(40)),
	},
	want: []string{
		"seen failed", "started", "crashed exit-code", "started", "crashed exit-code", "failed -> inactive/dead",
	},
}}

func BenchmarkStepRepeat(b *testing.B) {
	u := at("active/running", 1)
	life, _ := step(nil, Life{}, at("active/running", 1, snapshot))
	b.ReportAllocs()
	for b.Loop() {
		life, _ = step(nil, life, u)
	}
}
