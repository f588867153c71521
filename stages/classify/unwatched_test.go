package classify

import (
	"testing"

	"service-monitor/stages/decode"
)

func TestUnwatched(t *testing.T) { testStories(t, unwatched) }

// unwatched are gaps that the journal lacks, in whole or in part.
var unwatched = []story{{
	name:    "another run after a gap",
	updates: []decode.Update{at("active/running", 1, snapshot), at("active/running", 2, snapshot)},
	want:    []string{"seen active", "ended unknown at least", "started at least", "caught up at least"},
}, {
	name:    "more runs in a gap, as NRestarts proves",
	updates: []decode.Update{at("active/running", 1, snapshot), at("active/running", 5, snapshot, restarts(3))},
	want: []string{
		"seen active", "ended unknown at least", "restarted at least and ended", "restarted at least and ended", "restarted at least",
		"started at least", "caught up at least",
	},
}, {
	name:    "very many runs in a gap, as NRestarts proves",
	updates: []decode.Update{at("active/running", 1, snapshot), at("active/running", 5, snapshot, restarts(100_001))},
	want: []string{
		"seen active", "ended unknown at least", "restarted at least and ended 100000 times", "restarted at least", "started at least", "caught up at least",
	},
}, {
	name:    "the last restart in a gap may have been cancelled",
	updates: []decode.Update{at("active/running", 1, snapshot), at("inactive/dead", 2, snapshot, restarts(2))},
	want: []string{
		"seen active", "ended unknown at least", "active -> inactive/dead", "restarted at least", "restarted at least",
		"started at least", "stopped success at least", "caught up at least",
	},
}, {
	name:    "the last restart in a gap was refused",
	updates: []decode.Update{at("active/running", 1, snapshot), at("failed/failed", 5, snapshot, failed, restarts(3))},
	want: []string{
		"seen active", "ended unknown at least", "active -> failed/failed", "restarted at least and ended", "restarted at least", "restarted at least",
		"started at least", "crashed exit-code at least", "caught up at least",
	},
}, {
	name: "a gap with only the crashes in the journal",
	updates: []decode.Update{
		at("active/running", 1, snapshot), past(2, run(1, "signal", 0), run(2, "signal", 0)),
		at("active/running", 4, snapshot, restarts(3)), at("failed/failed", 4, failed, restarts(3)),
	},
	want: []string{
		"seen active", "crashed signal", "started", "crashed signal", "restarted at least and ended", "restarted at least", "restarted at least",
		"started at least", "caught up at least", "active -> failed/failed", "crashed exit-code",
	},
}, {
	name: "a gap with the present run in the journal, and not all runs before it",
	updates: []decode.Update{
		at("active/running", 1, snapshot), past(2, run(1, "signal", 0), run(4, "", 0)), at("active/running", 4, snapshot, restarts(1)),
		at("active/running", 4, snapshot, restarts(1)),
	},
	want: []string{"seen active", "crashed signal", "started", "restarted at least", "caught up at least", "caught up"},
}, {
	name: "a gap whose restarts the journal lacks",
	updates: []decode.Update{
		at("active/running", 1, snapshot), past(3, run(1, "signal", 0), run(2, "signal", 1), scheduled(4, run(5, "signal", 1))),
		at("active/running", 6, recovered(run(6, "", 0)), restarts(4)),
	},
	want: []string{
		"seen active", "crashed signal", "started", "crashed signal", "restarted",
		"restarted at least and ended", "restarted at least and ended", "started", "crashed signal", "restarted", "started", "caught up",
	},
}, {
	name:    "garbage-collected in a gap",
	updates: []decode.Update{at("active/running", 1, snapshot), at("inactive/dead", 0, snapshot)},
	want:    []string{"seen active", "ended unknown at least", "active -> inactive/dead", "caught up at least"},
}, {
	name: "NRestarts that is zeroed in between is not negative",
	updates: []decode.Update{
		at("active/running", 1, snapshot, restarts(9)), at("active/running", 1), at("active/running", 1, restarts(1)),
	},
	want: []string{"seen active", "restarted"},
}, {
	name:    "ended while nobody watched, and nothing else",
	updates: []decode.Update{at("active/running", 1, snapshot), at("failed/failed", 1, snapshot, failed)},
	want:    []string{"seen active", "active -> failed/failed", "crashed exit-code", "caught up"},
}, {
	name:    "not loaded, and nobody can tell what happened in between",
	updates: []decode.Update{at("inactive/dead", 0, snapshot), at("inactive/dead", 0, snapshot)},
	want:    []string{"seen inactive", "caught up at least"},
}, {
	name:    "not there, so nothing happened in between",
	updates: []decode.Update{at("inactive/dead", 0, snapshot, unloaded), at("inactive/dead", 0, snapshot, unloaded)},
	want:    []string{"seen unloaded", "caught up"},
}}
