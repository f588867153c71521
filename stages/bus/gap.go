package bus

import (
	"bytes"
	"slices"

	"service-monitor/stages/bus/history"
)

// heldBytes bounds the changes that are held back until the journal is read.
// More come only where units change faster than that can be done.
const heldBytes = 4 << 20

// A gap is what is known of a time in which nobody watched, until it is over. The
// phases of accounting for it are those of package catchup.
type gap struct {
	reader *history.Reader // nil where the journal cannot be read
	from   history.Place   // where the reader began
	here   history.Place   // where the journal was when the gap began, by the clock
	mark   history.Place   // the mark before the snapshots

	// continuous: every change was announced to us, but for those of the units in
	// dropped. partial: so only the units that have changed are asked for.
	continuous, partial bool
	dropped             map[string]int

	held     []Signal
	bytes    int
	late     bool               // a snapshot came that is younger than what was read
	kept     map[string]*recent // what was read behind the mark
	restarts map[string]uint32  // scheduled up to the mark
	spoken   map[string]bool    // units of which the journal told something
}

// recent is what is read of a unit behind the mark.
type recent struct {
	runs     []history.Run
	restarts uint32 // from where the reader began
	place    history.Place
}

// drop drops what was held back and kept: newer snapshots will be asked for.
func (g *gap) drop() {
	g.held, g.bytes, g.kept = nil, 0, make(map[string]*recent)
	g.late, g.continuous, g.partial, g.dropped = false, false, false, nil
}

// dropKept drops what was kept of the journal, once it is told. A snapshot must be
// younger than that.
func (g *gap) dropKept() { g.kept, g.late = make(map[string]*recent), false }

// hold holds a signal back. It reports whether there is still room for more.
func (g *gap) hold(signal Signal) bool {
	if signal.Kind == Changed { // snapshots are as many as there are units, and were asked for
		signal.Body = bytes.Clone(signal.Body) // where it lies, much else may
		g.bytes += len(signal.Body)
	}
	g.held = append(g.held, signal)
	return g.bytes <= heldBytes
}

// keep keeps runs that were read behind the mark. The first of them may be the last
// that is kept, and tell more of it.
func (g *gap) keep(unit string, past history.Past) {
	w := g.kept[unit]
	if w == nil {
		w = &recent{}
		g.kept[unit] = w
	}
	for _, r := range past.Runs[:past.Tell] {
		if n := len(w.runs); n > 0 && w.runs[n-1].Invocation == r.Invocation {
			w.runs[n-1] = r
		} else {
			w.runs = append(w.runs, r)
		}
	}
	w.restarts, w.place, g.spoken[unit] = past.Restarts, past.Place, true
}

// missedNothing reports whether every change of a unit is among what was held back.
func (g *gap) missedNothing(unit string) bool {
	return g.continuous && g.dropped[unit] == 0 && !g.spoken[unit]
}

// lost is why the journal lacks something although nobody says so: of a unit it has a run
// and the next one, but no end between. A unit's own LogLevelMax= is no reason.
func (g *gap) lost() string {
	muted := make(map[string]bool)
	for _, signal := range g.held {
		if signal.Kind == Snapshot && glimpse(signal).muted {
			muted[signal.Unit] = true
		}
	}
	for unit := range g.reader.Endless() {
		if !muted[unit] {
			return "records of systemd are missing in it, such as the end of a run of " + unit
		}
	}
	return ""
}

// muted reports whether the journal lacks what PID 1 says of a unit, by its LogLevelMax=. The
// snapshots came before the journal was read.
func (g *gap) muted(unit string) bool {
	return slices.ContainsFunc(g.held, func(s Signal) bool { return s.Unit == unit && s.Kind == Snapshot && glimpse(s).muted })
}

// lastSnapshots returns where the last snapshot of each unit is.
func (g *gap) lastSnapshots() map[string]int {
	last := make(map[string]int)
	for i, signal := range g.held {
		if signal.Kind == Snapshot || signal.Kind == Missing {
			last[signal.Unit] = i
		}
	}
	return last
}

// relate puts to a snapshot what the journal has of it behind the mark.
func (g *gap) relate(snapshot *Signal, later []Signal) {
	before := g.restarts[snapshot.Unit]
	snapshot.From, snapshot.Restarts = g.from, before
	w := g.kept[snapshot.Unit]
	if w == nil {
		return
	}
	snapshot.Runs, snapshot.Restarts = until(w.runs, *snapshot, later), w.restarts
	for _, r := range w.runs[len(snapshot.Runs):] {
		snapshot.Restarts -= r.Scheduled
	}
	snapshot.Since = snapshot.Restarts - before
}

// until returns the runs up to a snapshot, the one that it shows included.
func until(runs []history.Run, snapshot Signal, later []Signal) []history.Run {
	at := glimpse(snapshot)
	if at.invocation != (history.Invocation{}) {
		// What began since, its changes tell.
		shown := func(r history.Run) bool { return r.Invocation == at.invocation }
		return runs[:slices.IndexFunc(runs, shown)+1]
	}
	// It was not loaded. What has begun since has announced it.
	since := make(map[history.Invocation]bool)
	for _, signal := range later {
		if signal.Unit == snapshot.Unit {
			since[glimpse(signal).invocation] = true
		}
	}
	if i := slices.IndexFunc(runs, func(r history.Run) bool { return since[r.Invocation] }); i >= 0 {
		return runs[:i]
	}
	return runs
}
