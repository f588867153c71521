package classify

import (
	"testing"

	"service-monitor/stages/decode"
)

func TestRefusals(t *testing.T) { testStories(t, refusals) }

// refusals are restarts that the start limit refuses, or that fail.
var refusals = []story{{
	name: "start limit hit",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed),
		at("activating/auto-restart", 1, failed, restarts(1)), at("inactive/dead", 1, failed, restarts(1)),
		at("failed/failed", 1, failed, restarts(1)), at("failed/failed", 1, failed, restarts(1)),
	},
	want: []string{
		"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
		"activating -> inactive/dead", "inactive -> failed/failed", "gave up start-limit-hit",
	},
}, {
	name: "start limit hit on 257",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed-before-auto-restart", 1, failed), at("activating/auto-restart", 1, failed),
		at("activating/auto-restart", 1, failed, restarts(1)), at("activating/auto-restart-queued", 1, failed, restarts(1)),
		at("failed/failed", 1, failed, restarts(1)), at("failed/failed", 1, failed, restarts(1)),
	},
	want: []string{
		"seen active", "active -> failed/failed-before-auto-restart", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
		"activating -> activating/auto-restart-queued", "activating -> failed/failed", "gave up start-limit-hit",
	},
}, {
	name: "start limit hit after a clean exit, RestartMode=direct",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("activating/auto-restart", 1, exited0), at("activating/auto-restart", 1, exited0, restarts(1)),
		at("activating/auto-restart-queued", 1, exited0, restarts(1)), at("failed/failed", 1, limited, restarts(1)),
	},
	want: []string{
		"seen active", "active -> activating/auto-restart", "stopped success", "restarted",
		"activating -> activating/auto-restart-queued", "activating -> failed/failed", "gave up start-limit-hit",
	},
}, {
	name: "a run that a restart began fails, and is not restarted, on 257",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed-before-auto-restart", 1, failed), at("activating/auto-restart", 1, failed),
		at("activating/auto-restart", 1, failed, restarts(1)), at("activating/auto-restart-queued", 1, failed, restarts(1)),
		at("activating/auto-restart-queued", 2, restarts(1)), at("active/running", 2, restarts(1)),
		at("deactivating/stop-sigterm", 2, restarts(1)), at("failed/failed", 2, failed, restarts(1)), at("failed/failed", 2, failed, restarts(1)),
	},
	want: []string{
		"seen active", "active -> failed/failed-before-auto-restart", "crashed exit-code", "failed -> activating/auto-restart", "restarted",
		"activating -> activating/auto-restart-queued", "activating -> active/running", "started",
		"active -> deactivating/stop-sigterm", "deactivating -> failed/failed", "crashed exit-code",
	},
}, {
	name: "a run that a restart began fails without ever being up, and is not restarted, on 257",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot, entered(5)), at("activating/auto-restart-queued", 1, failed, restarts(1), entered(6)),
		at("activating/auto-restart-queued", 2, result(resources, 0, 0), restarts(1), entered(6)),
		at("failed/failed", 2, result(resources, 0, 0), restarts(1), entered(7)), at("failed/failed", 2, result(resources, 0, 0), restarts(1), entered(7)),
	},
	want: []string{
		"seen activating", "activating -> activating/auto-restart-queued", "restarted", "activating -> failed/failed", "started", "crashed resources",
	},
}, {
	name: "waiting for a restart when first seen, and then the start limit",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart-queued", 1, failed, restarts(1)),
		at("failed/failed", 1, failed, restarts(1)),
	},
	want: []string{
		"seen activating", "activating -> activating/auto-restart-queued", "restarted", "activating -> failed/failed", "gave up start-limit-hit",
	},
}, {
	name: "a restart that could not be scheduled: nobody knows why",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("failed/failed", 1, failed), at("activating/auto-restart", 1, failed),
		at("failed/failed", 1, failed), at("failed/failed", 1, failed, in("not-found")),
	},
	want: []string{
		"seen active", "active -> failed/failed", "crashed exit-code", "failed -> activating/auto-restart",
		"activating -> failed/failed", "gave up resources",
	},
}, {
	name: "a restart that could not be scheduled after a clean exit: the unit file was known to be bad",
	updates: []decode.Update{
		at("active/running", 1, snapshot), at("inactive/dead-before-auto-restart", 1, exited0), at("activating/auto-restart", 1, exited0),
		at("activating/auto-restart", 1, exited0, in("bad-setting")), at("failed/failed", 1, result(resources, exited, 0), in("bad-setting")),
	},
	want: []string{
		"seen active", "active -> inactive/dead-before-auto-restart", "stopped success", "inactive -> activating/auto-restart",
		"activating -> failed/failed", "gave up bad-setting",
	},
}, {
	name: "a restart that was scheduled anew, because of a daemon-reload, and then could not be",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1)),
		at("failed/failed", 1, failed, restarts(1), in("masked")),
	},
	want: []string{"seen activating", "restarted", "activating -> failed/failed", "gave up masked"},
}, {
	name: "a restart that could not be scheduled while nobody watched",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("failed/failed", 1, failed, snapshot, in("not-found")),
	},
	want: []string{"seen activating", "activating -> failed/failed", "gave up not-found", "caught up"},
}, {
	name: "what it needs has failed when it was to be restarted, on 257",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
		at("activating/auto-restart-queued", 1, failed, restarts(1), job(7)), at("activating/auto-restart-queued", 1, failed, restarts(1)),
		at("activating/auto-restart-queued", 1, failed, restarts(1)), at("activating/auto-restart-queued", 2, restarts(1), job(8)),
		at("active/running", 2, restarts(1)),
	},
	want: []string{
		"seen activating", "restarted", "activating -> activating/auto-restart-queued", "gave up resources",
		"activating -> active/running", "started",
	},
}, {
	name: "what it needs has failed when it was to be restarted, on 252",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
		at("inactive/dead", 1, failed, restarts(1), job(7)), at("inactive/dead", 1, failed, restarts(1)), at("inactive/dead", 0),
	},
	want: []string{"seen activating", "restarted", "activating -> inactive/dead", "gave up resources"},
}, {
	name: "stopped while the job of its restart waits for its turn",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
		at("activating/auto-restart-queued", 1, failed, restarts(1), job(8)), at("activating/auto-restart-queued", 1, failed, restarts(1), job(8)),
		at("inactive/dead", 1, failed, restarts(1), job(8)),
		at("inactive/dead", 1, failed, restarts(1)), at("inactive/dead", 1, failed, restarts(1)),
	},
	want: []string{"seen activating", "restarted", "activating -> activating/auto-restart-queued", "activating -> inactive/dead"},
}, {
	name: "the job of its restart was over while nobody watched: a stop may have been the reason, or not",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, restarts(1), job(7)),
		at("inactive/dead", 1, failed, restarts(1), snapshot), at("inactive/dead", 1, failed, restarts(1)),
		at("active/running", 2, snapshot), at("activating/auto-restart", 2, failed), at("activating/auto-restart-queued", 2, failed, restarts(1), job(9)),
		at("activating/auto-restart-queued", 2, failed, restarts(1), snapshot),
	},
	want: []string{
		"seen activating", "restarted", "activating -> inactive/dead", "caught up", "inactive -> active/running", "started at least", "caught up at least",
		"active -> activating/auto-restart", "crashed exit-code", "activating -> activating/auto-restart-queued", "restarted", "gave up resources", "caught up",
	},
}, {
	name: "a start by hand that only waits for the restart",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("activating/auto-restart", 1, failed, job(7)), at("activating/auto-restart", 1, failed),
		at("activating/auto-restart", 1, failed, job(8)), at("activating/auto-restart", 1, failed, job(8), restarts(1)),
		at("activating/auto-restart-queued", 2, restarts(1), job(8)), at("active/running", 2, restarts(1), job(8)), at("active/running", 2, restarts(1)),
	},
	want: []string{"seen activating", "restarted", "activating -> activating/auto-restart-queued", "activating -> active/running", "started"},
}, {
	name: "refused by the start limit while nobody watched",
	updates: []decode.Update{
		at("activating/auto-restart", 1, failed, snapshot), at("failed/failed", 1, failed, restarts(1), snapshot, in("not-found")),
	},
	want: []string{"seen activating", "activating -> failed/failed", "restarted", "gave up start-limit-hit", "caught up"},
}}
