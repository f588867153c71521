package classify

import (
	"testing"

	"service-monitor/stages/decode"
)

func TestRecoveredRestarts(t *testing.T) { testStories(t, recoveredRestarts) }

// recoveredRestarts are restarts that the journal has. NRestarts may show others.
var recoveredRestarts = []story{{
	name: "the signals show how the run of the snapshot goes on",
	updates: []decode.Update{
		at("active/running", 2, snapshot),
		at("active/running", 3, restarts(1), recovered(run(2, "signal", 1), run(3, "signal", 1))),
		at("failed/failed", 3, failed, restarts(1)), at("inactive/dead", 4, restarts(2)), at("active/running", 4, restarts(2)),
	},
	want: []string{
		"seen active", "crashed signal", "restarted", "started", "caught up", "active -> failed/failed", "crashed exit-code",
		"failed -> inactive/dead", "restarted", "inactive -> active/running", "started",
	},
}, {
	name: "the restart for which a snapshot waits was not scheduled yet",
	updates: []decode.Update{
		at("active/running", 2, snapshot, restarts(6)),
		at("activating/auto-restart", 2, failed, restarts(6), recovered(scheduled(7, run(2, "exit-code", 1)))),
		at("activating/auto-restart", 2, failed, restarts(7)), at("inactive/dead", 3, restarts(7)), at("active/running", 3, restarts(7)),
	},
	want: []string{
		"seen active", "crashed exit-code", "active -> activating/auto-restart", "caught up", "restarted",
		"activating -> inactive/dead", "inactive -> active/running", "started",
	},
}, {
	name: "NRestarts was zeroed after the restart that was scheduled, for which the snapshot still waits",
	updates: []decode.Update{
		at("active/running", 2, snapshot, restarts(6)),
		at("activating/auto-restart", 2, job(9), recovered(scheduled(7, run(2, "exit-code", 1)))), at("inactive/dead", 3), at("active/running", 3),
	},
	want: []string{
		"seen active", "crashed exit-code", "restarted", "active -> activating/auto-restart", "caught up",
		"activating -> inactive/dead", "inactive -> active/running", "started",
	},
}, {
	name: "NRestarts is zeroed after a snapshot, and then the restart is scheduled for which it waits",
	updates: []decode.Update{
		at("active/running", 2, snapshot, restarts(14)),
		at("activating/auto-restart", 2, restarts(14), recovered(scheduled(1, run(2, "success", 1)))),
		at("activating/auto-restart", 2, restarts(1)), at("inactive/dead", 3, restarts(1)), at("active/running", 3, restarts(1)),
	},
	want: []string{
		"seen active", "stopped success", "active -> activating/auto-restart", "caught up", "restarted",
		"activating -> inactive/dead", "inactive -> active/running", "started",
	},
}, {
	name: "the restart for which a snapshot waits is scheduled anew, because of a daemon-reload",
	updates: []decode.Update{
		at("active/running", 2, snapshot, restarts(4)),
		at("activating/auto-restart", 2, failed, job(9), restarts(5), recovered(scheduled(6, run(2, "exit-code", 2)))),
		at("activating/auto-restart", 2, failed, job(9), restarts(6)), at("inactive/dead", 3, restarts(6)), at("active/running", 3, restarts(6)),
	},
	want: []string{
		"seen active", "crashed exit-code", "restarted", "active -> activating/auto-restart", "caught up", "restarted",
		"activating -> inactive/dead", "inactive -> active/running", "started",
	},
}, {
	name: "NRestarts was zeroed after the restart that was scheduled",
	updates: []decode.Update{
		at("active/running", 2, snapshot, restarts(6)), at("inactive/dead", 2, recovered(scheduled(7, run(2, "exit-code", 1)))),
	},
	want: []string{"seen active", "crashed exit-code", "restarted", "active -> inactive/dead", "caught up"},
}, {
	name: "a restart that could not be scheduled, then started by hand",
	updates: []decode.Update{
		at("active/running", 2, snapshot), past(2, unscheduled(run(2, "exit-code", 0)), run(3, "", 0)), at("active/running", 3, recovered()),
	},
	want: []string{"seen active", "crashed exit-code", "gave up resources", "started", "caught up"},
}, {
	name: "refused by the start limit, then started by hand",
	updates: []decode.Update{
		at("active/running", 2, snapshot), past(2, refused(run(2, "exit-code", 1)), run(3, "", 0)), at("active/running", 3, recovered()),
	},
	want: []string{"seen active", "crashed exit-code", "restarted", "gave up start-limit-hit", "started", "caught up"},
}, {
	name: "a restart that NRestarts did not show, because it was zeroed before",
	updates: []decode.Update{
		at("active/running", 2, restarts(1), recovered()), at("activating/auto-restart", 2, restarts(1)), // zeroed, then 1 again
		at("inactive/dead", 3, restarts(1)), at("active/running", 3, restarts(1)),
		fromCursor(2, past(2, run(2, "success", 1), run(3, "", 0))), at("active/running", 3, restarts(1), recovered()),
	},
	want: []string{
		"seen active", "active -> activating/auto-restart", "stopped success", "activating -> inactive/dead",
		"inactive -> active/running", "started", "restarted", "restarted", "caught up",
	},
}, {
	name: "a restart that was missed before the present run is not that run's own",
	updates: []decode.Update{
		at("active/running", 2, restarts(1), recovered()), at("activating/auto-restart", 2, restarts(1)), // zeroed, then 1 again
		at("inactive/dead", 3, restarts(1)), at("active/running", 3, restarts(1)),
		fromCursor(1, past(1, run(3, "", 0))),
		fromCursor(3, past(3, scheduled(2, run(3, "success", 1)), scheduled(3, run(4, "success", 1)), run(5, "", 0))),
	},
	want: []string{
		"seen active", "active -> activating/auto-restart", "stopped success", "activating -> inactive/dead",
		"inactive -> active/running", "started", "restarted", "stopped success", "restarted", "started", "stopped success", "restarted", "started",
	},
}, {
	name: "restarts after the cursor are counted once",
	updates: []decode.Update{
		at("active/running", 2, recovered()),
		fromCursor(3, at("active/running", 3, restarts(7), func(u *decode.Update) { u.RestartsSinceCursor = 2 }, recovered(run(2, "signal", 3), run(3, "", 0)))),
		at("activating/auto-restart", 3, restarts(7), failed), at("activating/auto-restart", 3, restarts(8), failed),
		fromCursor(3, past(1, run(3, "exit-code", 1))),
	},
	want: []string{
		"seen active", "crashed signal", "restarted", "restarted", "restarted", "started", "caught up",
		"active -> activating/auto-restart", "crashed exit-code", "restarted",
	},
}, {
	name: "a restart that is scheduled anew while nobody watches, because of two daemon-reloads",
	updates: []decode.Update{
		at("active/running", 2, recovered()), at("activating/auto-restart", 2, failed), at("activating/auto-restart", 2, failed, restarts(1)),
		at("activating/auto-restart", 2, failed, restarts(1), recovered()), // the cursor is after the first
		fromCursor(3, past(3, scheduled(3, run(2, "", 2)), scheduled(4, run(3, "exit-code", 1)), run(4, "", 0))),
		at("active/running", 4, restarts(4), recovered()),
	},
	want: []string{
		"seen active", "active -> activating/auto-restart", "crashed exit-code", "restarted", "caught up",
		"restarted", "restarted", "started", "crashed exit-code", "restarted", "started", "activating -> active/running", "caught up",
	},
}, {
	name: "the journal lacks very many restarts that began the known runs, and has the next",
	updates: []decode.Update{
		at("active/running", 2, snapshot),
		past(2, run(2, "exit-code", 0), scheduled(100_002, run(3, "exit-code", 1))),
	},
	want: []string{
		"seen active", "crashed exit-code", "restarted at least and ended 100000 times", "restarted at least", "started", "crashed exit-code", "restarted",
	},
}, {
	name: "the journal lacks the restarts that began the known runs, and the next restart tells more",
	updates: []decode.Update{
		at("active/running", 2, snapshot),
		past(2, run(2, "exit-code", 0), run(3, "exit-code", 0)),
		at("activating/auto-restart", 3, failed, restarts(1), snapshot),
		past(1, run(4, "exit-code", 1)), // that restart is the third, so the second began this run
	},
	want: []string{
		"seen active", "crashed exit-code", "started", "crashed exit-code", "active -> activating/auto-restart", "restarted at least", "caught up at least",
		"restarted at least", "started", "crashed exit-code", "restarted",
	},
}}
