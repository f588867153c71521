package classify

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// firstSeen is a snapshot of a unit that runs before the gap.
var firstSeen = at("active/running", 1, snapshot, entered(10))

// openGaps are gaps for which the journal cannot be read at first.
var openGaps = []struct {
	name    string
	updates []decode.Update
	want    []string
	pending int64 // starts minus ends that are still to be counted at the end
}{{
	name:    "nothing happened",
	updates: []decode.Update{firstSeen, at("active/running", 1, unread, entered(10))},
	want:    []string{"seen active", "caught up"},
}, {
	name:    "it is another run",
	updates: []decode.Update{firstSeen, at("active/running", 2, unread, entered(20))},
	want:    []string{"seen active", "caught up"},
}, {
	name:    "it is over",
	updates: []decode.Update{firstSeen, at("failed/failed", 1, unread, failed, entered(20))},
	want:    []string{"seen active", "active -> failed/failed", "caught up"},
	pending: -1,
}, {
	name:    "it runs at last",
	updates: []decode.Update{at("inactive/dead", 0, snapshot), at("active/running", 1, unread, entered(20))},
	want:    []string{"seen inactive", "inactive -> active/running", "caught up"},
	pending: 1,
}, {
	name: "it is read, and another run has crashed between",
	updates: []decode.Update{
		firstSeen, at("active/running", 3, unread, entered(30)), at("failed/failed", 3, failed, entered(40)),
		past(3, run(1, "success", 0), run(2, "signal", 0), run(3, "exit-code", 0)), at("failed/failed", 3, failed, entered(40), recovered()),
	},
	want: []string{
		"seen active", "caught up", "active -> failed/failed", "crashed exit-code",
		"stopped success", "started", "crashed signal", "started", "caught up",
	},
}, {
	name: "two gaps, with runs that were watched between",
	updates: []decode.Update{
		firstSeen, at("active/running", 3, unread, entered(30)), at("inactive/dead", 3, entered(35)), at("inactive/dead", 4, entered(35)), at("active/running", 4, entered(40)),
		at("active/running", 6, unread, entered(60)),
		past(6, run(1, "signal", 0), run(2, "signal", 0), run(3, "success", 0), run(4, "exit-code", 0), run(5, "signal", 0), run(6, "", 0)),
		at("active/running", 6, entered(60), recovered()),
	},
	want: []string{
		"seen active", "caught up", "active -> inactive/dead", "stopped success", "inactive -> active/running", "started", "caught up",
		"crashed signal", "started", "crashed signal", "started", "crashed exit-code", "started", "crashed signal", "started", "caught up",
	},
}, {
	name: "NRestarts is zeroed after the snapshot, and the next restart is watched",
	updates: []decode.Update{
		firstSeen, at("activating/auto-restart", 2, unread, failed, restarts(1), entered(30)), at("activating/auto-restart", 2, unread, failed, entered(30)),
		at("activating/auto-restart", 2, failed, restarts(1), job(9), entered(30)),
		past(2, scheduled(1, run(1, "signal", 1)), scheduled(1, run(2, "exit-code", 1))), at("activating/auto-restart", 2, failed, restarts(1), job(9), entered(30), recovered()),
	},
	want: []string{
		"seen active", "active -> activating/auto-restart", "caught up", "restarted",
		"crashed signal", "restarted", "started", "crashed exit-code", "caught up",
	},
}, {
	name: "it ends with a boot, in which it was watched",
	updates: []decode.Update{
		firstSeen, at("active/running", 2, unread, entered(30)),
		inBoot("b", past(2, run(1, "signal", 0), run(2, "", 0))), inBoot("b", cut(records.PowerLoss)), inBoot("c", past(1, run(3, "", 0))),
		at("active/running", 3, recovered()),
	},
	want: []string{"seen active", "caught up", "crashed signal", "started", "stopped power-loss", "started", "caught up"},
}, {
	name: "a boot ends in it",
	updates: []decode.Update{
		firstSeen, inBoot("c", at("active/running", 3, unread, entered(5))),
		inBoot("b", past(1, received(20, run(2, "", 0)))), inBoot("b", cut(records.Shutdown)), inBoot("c", past(1, run(3, "", 0))), at("active/running", 3, recovered()),
	},
	want: []string{
		"seen active", "caught up", "ended unknown at least", "started", "stopped shutdown", "started", "caught up",
	},
}, {
	name:    "the journal no longer reaches back",
	updates: []decode.Update{firstSeen, at("active/running", 2, unread, entered(20)), at("active/running", 2, snapshot, entered(20))},
	want:    []string{"seen active", "caught up", "ended unknown at least", "started at least", "caught up at least"},
}, {
	name: "what was known is lost, and all is read later",
	updates: []decode.Update{
		at("active/running", 3, unread, lost, entered(30)), at("failed/failed", 3, failed, entered(40)),
		past(3, run(1, "success", 0), run(2, "signal", 0), run(3, "exit-code", 0)), at("failed/failed", 3, failed, entered(40), recovered()),
	},
	want: []string{
		"seen inactive", "inactive -> active/running", "caught up", "active -> failed/failed", "crashed exit-code",
		"started", "stopped success", "started", "crashed signal", "started", "caught up",
	},
}, {
	name: "a unit that is not there, and that ran",
	updates: []decode.Update{
		at("inactive/dead", 0, snapshot, unloaded), at("inactive/dead", 0, unread, unloaded, func(u *decode.Update) { u.Clock = 100 }),
		inBoot("b", past(2, received(50, run(1, "success", 0)), received(150, run(2, "signal", 0)))), at("inactive/dead", 0, unloaded, recovered()),
	},
	want: []string{"seen unloaded", "caught up", "started", "stopped success", "started", "crashed signal", "caught up"},
}}

// What happened in a gap is counted once the journal is read, and what came after the gap is not
// counted twice.
func TestOpenGaps(t *testing.T) {
	for _, tt := range openGaps {
		t.Run(tt.name, func(t *testing.T) {
			life := walk(t, tt.updates, tt.want)
			if life.Pending() != tt.pending {
				t.Errorf("%d are to be counted, want %d", life.Pending(), tt.pending)
			}
		})
	}
}

// If the journal can never be read, the life does not grow: the oldest gaps are closed.
func TestMostGaps(t *testing.T) {
	life, facts := step(nil, Life{}, at("active/running", 1, snapshot, entered(1)))
	var got tally
	for i := range byte(3 * mostGaps) {
		life, facts = step(facts[:0], life, at("active/running", i+2, unread, entered(uint64(i)+2)))
		got.add(facts)
	}
	if n := len(life.open()); n != mostGaps {
		t.Errorf("%d gaps are open, want %d", n, mostGaps)
	}
	if want := (tally{starts: 2 * mostGaps, unknown: 2 * mostGaps}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// Aliases name units, and globs name many.
func TestNames(t *testing.T) {
	as := func(name string) func(*decode.Update) { return func(u *decode.Update) { u.Name = name } }
	over := decode.Update{Kind: decode.Unloaded, Unit: "a.service"}
	for _, tt := range []struct {
		name    string
		updates []decode.Update
		want    []string
		known   bool // at the end
	}{{
		name:    "an alias comes while its unit runs",
		updates: []decode.Update{at("inactive/dead", 0, snapshot, unloaded, as("a.service")), at("active/running", 4, as("own.service"))},
		want:    []string{"seen unloaded", "seen active"}, known: true,
	}, {
		name:    "an alias names another unit",
		updates: []decode.Update{at("active/running", 1, snapshot, as("own.service")), at("failed/failed", 4, snapshot, failed, as("other.service"))},
		want:    []string{"seen active", "seen failed"}, known: true,
	}, {
		name: "an alias names another unit, and restarts of before lie in the next gap",
		updates: []decode.Update{
			at("active/running", 1, snapshot, as("own.service"), func(u *decode.Update) { u.Cursor = "c" }), at("active/running", 4, snapshot, as("other.service")),
			fromPlace("c", 0, at("active/running", 5, unread, restarts(1), entered(20), as("other.service"))),
			fromPlace("c", 3, past(2, scheduled(1, run(4, "signal", 1)), run(5, "", 0))), fromPlace("c", 3, at("active/running", 5, recovered(), restarts(1), entered(20), as("other.service"))),
		},
		want: []string{"seen active", "seen active", "caught up", "crashed signal", "restarted", "started", "caught up"}, known: true,
	}, {
		name:    "a unit that is over is folded",
		updates: []decode.Update{at("active/running", 1), at("inactive/dead", 1), over},
		want:    []string{"seen inactive", "inactive -> active/running", "active -> inactive/dead", "started", "stopped success", "folded"},
	}, {
		name:    "a unit that runs is not folded",
		updates: []decode.Update{at("active/running", 1, snapshot), over},
		want:    []string{"seen active"}, known: true,
	}, {
		name:    "a unit with an open gap is not folded either",
		updates: []decode.Update{at("active/running", 1, snapshot), at("inactive/dead", 1, unread), over},
		want:    []string{"seen active", "active -> inactive/dead", "caught up"}, known: true,
	}, {
		name:    "a glob",
		updates: []decode.Update{{Kind: decode.Pattern, Unit: "a*.service"}, {Kind: decode.Pattern, Unit: "a*.service"}, {Kind: decode.Forgotten, Unit: "a*.service"}},
		want:    []string{"caught up", "caught up", "forgotten"},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			life := walk(t, tt.updates, tt.want)
			if life.Known() != tt.known {
				t.Errorf("known: %v", life.Known())
			}
		})
	}
}

// If all of the journal has to be read, that is remembered until it is done.
func TestLostStaysOpen(t *testing.T) {
	life := walk(t, []decode.Update{at("active/running", 1, unread, lost, entered(30)), at("active/running", 1, unread, lost, entered(30))},
		[]string{"seen inactive", "inactive -> active/running", "caught up"})
	if life.Cursor != records.Beginning || len(life.open()) != 1 {
		t.Errorf("the journal is to be read from %q, for %d gaps; want from the beginning, for one", life.Cursor, len(life.open()))
	}
}

// While a gap is open, nobody knows whether systemd gave up a unit that is failed after it. Once the journal is
// read, that is known.
func TestGivenUpInGap(t *testing.T) {
	down := func(more ...func(*decode.Update)) decode.Update {
		return at("failed/failed", 1, append([]func(*decode.Update){failed, entered(20)}, more...)...)
	}
	for _, tt := range []struct {
		name string
		run  records.Run
		more []string
		want bool
	}{
		{"it crashed", run(1, "exit-code", 0), nil, false},
		{"its restart was refused", refused(run(1, "exit-code", 1)), []string{"restarted", "gave up start-limit-hit"}, true},
	} {
		want := append(append([]string{"seen active", "active -> failed/failed", "caught up", "crashed exit-code"}, tt.more...), "caught up")
		life := walk(t, []decode.Update{firstSeen, down(unread), past(1, tt.run), down(recovered(), restarts(tt.run.Scheduled))}, want)
		if life.GivenUp != tt.want {
			t.Errorf("%s: given up %v", tt.name, life.GivenUp)
		}
	}
}

// The end of a boot lies before all open gaps of later boots. So reading goes on behind it for all of them.
func TestCutBeforeOpenGaps(t *testing.T) {
	var life Life
	for _, u := range []decode.Update{
		firstSeen, at("active/running", 3, unread, entered(30)), at("active/running", 6, unread, entered(60)),
		inBoot("a", past(1, run(1, "signal", 0))), inBoot("a", cutAt("next", "power-loss")),
	} {
		life, _ = step(nil, life, u)
	}
	gaps := life.open()
	if len(gaps) != 2 || gaps[0].Before.Running() {
		t.Fatalf("%+v", life)
	}
	for _, l := range []*Life{&life, &gaps[0].Before, &gaps[1].Before} {
		if l.Cursor != "next" || l.RestartsSinceCursor != 0 {
			t.Errorf("reading goes on at %s, with %d restarts", l.Cursor, l.RestartsSinceCursor)
		}
	}
}

// What only the snapshot after an open gap proves has the time of that snapshot, also if the gap is closed much later.
func TestTimeOfWhatASnapshotProves(t *testing.T) {
	then, later := time.Unix(10, 0).UTC(), time.Unix(1000, 0).UTC()
	life, _ := step(nil, Life{}, firstSeen)
	life, _ = step(nil, life, at("active/running", 3, unread, entered(30), func(u *decode.Update) { u.Time = then }))
	_, facts := step(nil, life, at("active/running", 3, entered(30), recovered(), func(u *decode.Update) { u.Time, u.Complete = later, false }))
	if diff := cmp.Diff([]string{"ended unknown at least", "started at least", "caught up at least"}, lines(facts)); diff != "" {
		t.Fatal(diff)
	}
	for _, f := range facts {
		if f.InGap && !f.Time.Equal(then) {
			t.Errorf("%v is said to be at %v", f.Kind, f.Time)
		}
	}
}

// A gap that is closed because there are too many is not read in the journal any more. It would be counted twice.
func TestReadingGoesOnBehindAClosedGap(t *testing.T) {
	life, _ := step(nil, Life{}, firstSeen)
	for i := range mostGaps + 1 {
		u := at("active/running", byte(10+i), unread, entered(uint64(100+i)), func(u *decode.Update) { u.Time = time.Unix(int64(1000+i), 0) })
		u.Boot, u.Clock = fmt.Sprint("boot", i), uint64(200+i)
		life, _ = step(nil, life, u)
	}
	want := records.At("boot0", 200, time.Unix(1000, 0))
	if n := len(life.open()); n != mostGaps || life.Cursor != want {
		t.Errorf("%d gaps, reading goes on at %s, want %s", n, life.Cursor, want)
	}
	for _, g := range life.open() {
		if g.Before.Cursor != want {
			t.Errorf("a gap is read from %s on", g.Before.Cursor)
		}
	}
}
