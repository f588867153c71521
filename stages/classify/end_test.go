package classify

import (
	"testing"

	"service-monitor/stages/decode"
)

func TestOverwrittenResults(t *testing.T) { testStories(t, overwrittenResults) }

// overwrittenResults are ends in a gap whose result systemd has overwritten since.
var overwrittenResults = []story{{
	name: "clean exits into the start limit, which the journal lacks",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot), at("failed/failed", 3, limited, restarts(3), snapshot),
	},
	want: []string{
		"seen inactive", "inactive -> failed/failed", "restarted at least and ended", "restarted at least", "restarted at least",
		"started at least", "ended unknown at least", "gave up start-limit-hit at least", "caught up at least",
	},
}, {
	name: "an end into the start limit, which the journal lacks: a success, or the limit would not show",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result(StartLimitHit, exited, 1), restarts(1), snapshot),
	},
	want: []string{
		"seen active", "active -> failed/failed", "restarted", "ended unknown at least", "gave up start-limit-hit", "caught up",
	},
}, {
	name: "an end whose result was overwritten when the restart failed, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result(resources, exited, 0), snapshot, in("not-found")),
	},
	want: []string{"seen active", "active -> failed/failed", "ended unknown at least", "caught up"},
}}

func TestCleans(t *testing.T) { testStories(t, cleans) }

// cleans are units that somebody cleans with systemctl clean.
var cleans = []story{{
	name: "an end, and a clean that failed, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, leftInactive, cleanFailed),
	},
	want: []string{"seen active", "active -> failed/failed", "ended unknown at least", "caught up"},
}, {
	name: "an end, a clean that failed and a daemon-reload, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, leftInactive, cleanable, in("loaded")),
	},
	want: []string{"seen active", "active -> failed/failed", "ended unknown at least", "caught up"},
}, {
	name: "a restart that failed because the unit file is gone, which the journal lacks: there was no clean",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, leftInactive, cleanable, in("not-found")),
	},
	want: []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
}, {
	name: "a restart that failed, of a unit that has nothing to clean, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", killed, 15), snapshot, leftInactive, in("loaded")),
	},
	want: []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
}, {
	name: "a run that fails before its main process begins, which the journal lacks",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot), at("failed/failed", 1, result("exit-code", 0, 0), snapshot, leftInactive, cleanable, in("loaded")),
	},
	want: []string{"seen inactive", "inactive -> failed/failed", "started at least", "crashed exit-code at least", "caught up at least"},
}, {
	name: "a failed end of a unit whose earlier clean had failed, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", exited, 1), snapshot, cleanFailed),
	},
	want: []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
}, {
	name: "an end, a reset and a clean, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("inactive/dead", 1, result("success", exited, 1), snapshot, leftInactive),
	},
	want: []string{"seen active", "active -> inactive/dead", "ended unknown at least", "caught up"},
}, {
	name: "an end, and a clean that goes on, which the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("maintenance/cleaning", 1, result("success", exited, 1), snapshot, leftInactive),
	},
	want: []string{"seen active", "active -> maintenance/cleaning", "ended unknown at least", "caught up"},
}, {
	name: "a crash, and a clean that the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("inactive/dead", 1, result("exit-code", exited, 1), snapshot, leftInactive),
	},
	want: []string{"seen active", "active -> inactive/dead", "crashed exit-code", "caught up"},
}, {
	name: "a wait for a restart, and a clean that failed in a gap",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, result("exit-code", exited, 1)), at("activating/auto-restart", 1, result("exit-code", exited, 1)),
		at("failed/failed", 1, result("exit-code", exited, 1), snapshot, leftInactive, cleanFailed),
	},
	want: []string{
		"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart",
		"activating -> failed/failed", "caught up",
	},
}, {
	name: "systemctl clean, and a start",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("inactive/dead", 1), at("maintenance/cleaning", 1), at("maintenance/cleaning", 1),
		at("inactive/dead", 1), at("inactive/dead", 2), at("active/running", 2),
	},
	want: []string{
		"seen active", "active -> inactive/dead", "stopped success", "inactive -> maintenance/cleaning", "maintenance -> inactive/dead",
		"inactive -> active/running", "started",
	},
}, {
	name: "systemctl clean when first seen",
	updates: []decode.Update{
		at("maintenance/cleaning", 1, snapshot), at("maintenance/cleaning-sigterm", 1), at("maintenance/cleaning-sigkill", 1), at("inactive/dead", 1),
	},
	want: []string{
		"seen maintenance", "maintenance -> maintenance/cleaning-sigterm", "maintenance -> maintenance/cleaning-sigkill", "maintenance -> inactive/dead",
	},
}, {
	name: "systemctl clean of a unit that systemd had unloaded",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("inactive/dead", 1), at("maintenance/cleaning", 0), at("inactive/dead", 0), at("inactive/dead", 2), at("active/running", 2),
	},
	want: []string{
		"seen active", "active -> inactive/dead", "stopped success", "inactive -> maintenance/cleaning", "maintenance -> inactive/dead",
		"inactive -> active/running", "started",
	},
}, {
	name: "systemctl clean that fails, after a stop while it waited for its restart",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed), at("inactive/dead", 1, failed),
		at("maintenance/cleaning", 1, failed), at("failed/failed", 1, failed), at("failed/failed", 1, failed),
	},
	want: []string{
		"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "activating -> inactive/dead",
		"inactive -> maintenance/cleaning", "maintenance -> failed/failed",
	},
}, {
	name:    "systemctl clean of a failed unit",
	updates: []decode.Update{at("failed/failed", 1, failed, snapshot), at("maintenance/cleaning", 1, failed), at("failed/failed", 1, failed)},
	want:    []string{"seen failed", "failed -> maintenance/cleaning", "maintenance -> failed/failed"},
}, {
	name: "systemctl clean when nobody watched any more",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("maintenance/cleaning", 1, snapshot), at("inactive/dead", 1),
	},
	want: []string{"seen active", "active -> maintenance/cleaning", "stopped success", "caught up", "maintenance -> inactive/dead"},
}}
