package classify

import (
	"testing"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

func TestRecovered(t *testing.T) { testStories(t, recoveredRuns) }

// recoveredRuns are runs that the journal has, in gaps.
var recoveredRuns = []story{{
	name: "recovered from the journal, with what was counted already",
	updates: []decode.Update{
		at("active/running", 2, snapshot),
		past(3, run(1, "exit-code", 1), run(2, "signal", 1), run(3, "success", 0)),
		at("active/running", 4, restarts(1), recovered(run(4, "", 0))),
	},
	want: []string{"seen active", "crashed signal", "restarted", "started", "stopped success", "started", "caught up"},
}, {
	name: "the known run is ahead: all before it is counted",
	updates: []decode.Update{
		at("active/running", 4, snapshot),
		past(2, run(1, "exit-code", 1), run(2, "signal", 1), run(3, "success", 0), run(4, "", 0)),
		past(2, run(3, "success", 0), run(4, "success", 0)),
	},
	want: []string{"seen active", "stopped success"},
}, {
	name: "the known run is not in the journal: what was received before it is counted",
	updates: []decode.Update{
		at("active/running", 4, snapshot, entered(40)),
		past(4, received(10, run(1, "success", 0)), received(39, run(2, "success", 0)), received(41, run(5, "success", 0)), received(50, run(6, "", 0))),
	},
	want: []string{"seen active", "ended unknown at least", "started", "stopped success", "started"},
}, {
	name: "a unit that was failed has failed again, and the journal has the runs before: they are counted once",
	updates: []decode.Update{
		at("failed/failed", 2, snapshot, failed, entered(10)),
		past(1, received(20, scheduled(1, run(3, "exit-code", 1)))),
		at("failed/failed", 4, snapshot, failed, restarts(1), entered(40)),
		past(1, received(20, scheduled(1, run(3, "exit-code", 1)))),
	},
	want: []string{"seen failed", "started", "crashed exit-code", "restarted", "started at least", "crashed exit-code at least", "caught up at least"},
}, {
	name: "a record of the last run comes after systemd has entered the state in which the next run is announced",
	updates: []decode.Update{
		at("failed/failed", 2, snapshot, failed, entered(10)),
		at("failed/failed", 3, failed, entered(10)), at("activating/start", 3, entered(40)), at("failed/failed", 3, failed, entered(41)),
		past(1, received(20, refused(run(2, "", 0)))),
	},
	want: []string{"seen failed", "failed -> activating/start", "started", "activating -> failed/failed", "crashed exit-code"},
}, {
	name: "recovered, and the known run had ended before",
	updates: []decode.Update{
		at("inactive/dead", 2, snapshot), past(1, run(3, "success", 0)), at("inactive/dead", 0, recovered()),
	},
	want: []string{"seen inactive", "started", "stopped success", "caught up"},
}, {
	name: "recovered, and the known run goes on",
	updates: []decode.Update{
		at("active/running", 2, snapshot), at("active/running", 2, recovered(run(2, "", 0))), at("failed/failed", 2, failed),
	},
	want: []string{"seen active", "caught up", "active -> failed/failed", "crashed exit-code"},
}, {
	name: "the journal has lost the end of the known run",
	updates: []decode.Update{
		at("active/running", 2, snapshot), at("active/running", 9, restarts(1), recovered(run(9, "", 0))),
	},
	want: []string{"seen active", "ended unknown at least", "started", "restarted at least", "caught up at least"},
}, {
	name:    "the journal has nothing of the unit (LogLevelMax=)",
	updates: []decode.Update{at("active/running", 2, snapshot), at("active/running", 9, restarts(1), recovered())},
	want:    []string{"seen active", "ended unknown at least", "restarted at least", "started at least", "caught up at least"},
}, {
	name:    "a run whose end is not in the journal",
	updates: []decode.Update{at("active/running", 2, snapshot), past(1, run(2, records.Unknown, 0))},
	want:    []string{"seen active", "ended unknown at least"},
}, {
	name:    "a unit that appeared in a gap",
	updates: []decode.Update{past(1, run(1, "signal", 0)), at("inactive/dead", 1, recovered())},
	want:    []string{"seen inactive", "started", "crashed signal", "caught up"},
}, {
	name: "read twice",
	updates: []decode.Update{
		at("active/running", 2, snapshot), at("active/running", 3, restarts(1), recovered(run(2, "signal", 1), run(3, "", 0))),
		at("active/running", 3, restarts(1), recovered(run(2, "signal", 1), run(3, "", 0))), at("active/running", 3, restarts(1)),
	},
	want: []string{"seen active", "crashed signal", "restarted", "started", "caught up", "caught up"},
}, {
	name: "a cursor that moves on",
	updates: []decode.Update{
		at("active/running", 2, snapshot), at("active/running", 2, func(u *decode.Update) { u.Cursor = "c" }), at("active/running", 2, func(u *decode.Update) { u.Cursor = "c" }),
	},
	want: []string{"seen active", "caught up"},
}}

func TestBoots(t *testing.T) { testStories(t, boots) }

// boots are ends of a boot, and of the runs in it.
var boots = []story{{
	name: "boots that ended, with runs that did not",
	updates: []decode.Update{
		at("active/running", 2, snapshot), cut(records.Shutdown), past(1, run(3, "", 0)), cut(records.PowerLoss),
		past(1, run(4, "success", 0)), cut(records.Shutdown), at("inactive/dead", 0, recovered()),
	},
	want: []string{
		"seen active", "stopped shutdown", "started", "stopped power-loss", "started", "stopped success",
		"active -> inactive/dead", "caught up",
	},
}, {
	name: "stopped when the machine goes down",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("deactivating/stop-sigterm", 1, ending), at("inactive/dead", 1, ending),
	},
	want: []string{"seen active", "active -> deactivating/stop-sigterm", "deactivating -> inactive/dead", "stopped shutdown"},
}, {
	name: "ended when the machine goes down, by itself or badly",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("inactive/dead", 1, ending), at("inactive/dead", 2), at("active/running", 2),
		at("deactivating/stop-sigterm", 2, ending), at("failed/failed", 2, ending, result("timeout", killed, 9)),
	},
	want: []string{
		"seen active", "active -> inactive/dead", "stopped success", "inactive -> active/running", "started",
		"active -> deactivating/stop-sigterm", "deactivating -> failed/failed", "crashed timeout",
	},
}, {
	name:    "a boot that the journal lacks",
	updates: []decode.Update{at("active/running", 2, snapshot), cut(records.Unknown)},
	want:    []string{"seen active", "ended unknown at least"},
}, {
	name:    "a boot that ended in good order, and the journal lacks a part",
	updates: []decode.Update{at("active/running", 2, snapshot), lossy(cut(records.Shutdown))},
	want:    []string{"seen active", "ended unknown at least"},
}}
