package bus

import (
	"slices"

	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/wire"
)

// recent is what is read of a unit behind the mark.
type recent struct {
	runs     []history.Run
	restarts uint32 // from where the reader began
}

// collect adds runs that were read behind the mark. The first of them may be
// the last that is there, told further.
func (c *catchUp) collect(unit string, past history.Past) {
	w := c.window[unit]
	if w == nil {
		w = &recent{}
		c.window[unit] = w
	}
	for _, r := range past.Runs[:past.Tell] {
		if n := len(w.runs); n > 0 && w.runs[n-1].Invocation == r.Invocation {
			w.runs[n-1] = r
		} else {
			w.runs = append(w.runs, r)
		}
	}
	w.restarts, c.spoken[unit] = past.Restarts, true
}

// relate puts to a snapshot what the journal has of it behind the mark.
func (c *catchUp) relate(snapshot *Signal, later []Signal) {
	before := c.restarts[snapshot.Unit]
	snapshot.From, snapshot.Restarts = c.from, before
	w := c.window[snapshot.Unit]
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

// info is the level (syslog(3)) of what PID 1 writes of starts and stops.
const info = 6

// glance is the little that the source reads itself of the properties of a unit.
type glance struct {
	name       string // Id: its own name, of which the one that was asked for may be an alias
	invocation history.Invocation
	entered    uint64 // StateChangeTimestampMonotonic, 0 where it is not loaded
	muted      bool   // by LogLevelMax=: the journal has not all of what PID 1 writes of it
}

func glimpse(s Signal) (g glance) {
	r := wire.NewReader(s.Body, s.Order)
	if s.Kind == Changed {
		r.String() // the interface
	}
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		key, sig := r.String(), r.Variant()
		switch {
		case string(key) == "Id" && string(sig) == "s":
			g.name = string(r.String())
		case string(key) == "InvocationID" && string(sig) == "ay":
			copy(g.invocation[:], r.Bytes())
		case string(key) == stateChange && string(sig) == "t":
			g.entered = r.Uint64()
		case string(key) == "LogLevelMax" && string(sig) == "i":
			level := r.Int32() // -1 where there is no such limit
			g.muted = level >= 0 && level < info
		default:
			r.Skip(sig)
		}
	}
	return g
}

// oldest returns the earlier place of two. What lies between them is read again; no
// run is counted twice.
func oldest(a, b history.Place) history.Place {
	if a == "" || b != "" && b.Before(a) {
		return b
	}
	return a
}
