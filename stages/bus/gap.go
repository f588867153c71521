package bus

import (
	"bytes"
	"slices"
	"time"

	"service-monitor/stages/journald/records"
)

// heldBytes bounds the changes that are held back until the journal is read. More come only
// if units change faster than the journal can be read.
const heldBytes = 4 << 20

// A gap is a time in which nobody watched. Package catchup says in which phases the source
// accounts for it.
type gap struct {
	reader *records.Reader // nil where the journal cannot be read
	from   records.Place   // where the reader began
	here   records.Place   // the end of the journal when the gap began, by the clock
	mark   records.Place   // the mark that was left before the snapshots

	// continuous is true if every change reached us, except those counted in dropped. partial
	// is true if we asked only for the units that have changed.
	continuous, partial bool
	dropped             map[string]int

	held     []Signal
	bytes    int
	late     bool               // a snapshot came that is younger than what was read
	kept     map[string]*recent // what was read behind the mark
	restarts map[string]uint32  // the restarts that were scheduled up to the mark
	spoken   map[string]bool    // units of which the journal had something
	passed   []uint64           // of the runs of units that came and went and were told: their digests
	reading  time.Time          // since when the journal is being read
}

// recent is what the journal has of a unit behind the mark.
type recent struct {
	runs     []records.Run
	restarts uint32 // scheduled since the place where the reader began
	place    records.Place
}

// drop drops what was held back and kept, because newer snapshots will come.
func (g *gap) drop() {
	g.held, g.bytes, g.kept = nil, 0, make(map[string]*recent)
	g.late, g.continuous, g.partial, g.dropped = false, false, false, nil
}

// dropKept drops what was kept of the journal, once it was sent on. A snapshot must be younger
// than that.
func (g *gap) dropKept() { g.kept, g.late = make(map[string]*recent), false }

// hold holds a signal back. It reports whether there is room for more.
func (g *gap) hold(signal Signal) bool {
	if signal.Kind == Changed { // there are no more snapshots than units
		signal.Body = bytes.Clone(signal.Body) // it lies in a large buffer, which would stay with it
		signal.Buffer.Release()
		signal.Buffer = nil
		g.bytes += len(signal.Body)
	}
	g.held = append(g.held, signal)
	return g.bytes <= heldBytes
}

// keep keeps runs that were read behind the mark. The first of them may be the last one that
// is kept already: then it says more about the same run.
func (g *gap) keep(unit string, past records.Past) {
	w := g.kept[unit]
	if w == nil {
		w = &recent{}
		g.kept[unit] = w
	}
	for _, r := range past.Runs[:past.NewRuns] {
		if n := len(w.runs); n > 0 && w.runs[n-1].Invocation == r.Invocation {
			w.runs[n-1] = r
		} else {
			w.runs = append(w.runs, r)
		}
	}
	w.restarts, w.place, g.spoken[unit] = past.Restarts, past.Place, true
}

// missedNothing reports whether every change of a unit was held back.
func (g *gap) missedNothing(unit string) bool {
	return g.continuous && g.dropped[unit] == 0 && !g.spoken[unit]
}

// lost is the reason why the journal lacks something, which no record says: it has a run of a
// unit and the next run, but no end between them. A unit with LogLevelMax= does not count.
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

// muted reports whether LogLevelMax= of a unit keeps what PID 1 says of it out of the journal.
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

// relate adds to a snapshot what the journal has of the unit behind the mark.
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
	snapshot.RestartsSinceCursor = snapshot.Restarts - before
}

// until returns the runs up to the one that a snapshot shows.
func until(runs []records.Run, snapshot Signal, later []Signal) []records.Run {
	at := glimpse(snapshot)
	if at.invocation != (records.Invocation{}) {
		// The changes after the snapshot show what has begun since.
		shown := func(r records.Run) bool { return r.Invocation == at.invocation }
		return runs[:slices.IndexFunc(runs, shown)+1]
	}
	// The unit was not loaded. Runs that have begun since were announced.
	since := make(map[records.Invocation]bool)
	for _, signal := range later {
		if signal.Unit == snapshot.Unit {
			since[glimpse(signal).invocation] = true
		}
	}
	if i := slices.IndexFunc(runs, func(r records.Run) bool { return since[r.Invocation] }); i >= 0 {
		return runs[:i]
	}
	return runs
}
