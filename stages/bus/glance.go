package bus

import (
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/wire"
	"service-monitor/stages/journald/records"
)

// info is the level (syslog(3)) of what PID 1 writes about starts and stops.
const info = 6

// A glance is the few properties of a unit that the source itself reads.
type glance struct {
	name       string // Id: the unit's own name; the one that we asked for may be an alias of it
	loaded     bool   // LoadState: systemd has read a unit file of that name, and may start it
	invocation records.Invocation
	entered    uint64 // StateChangeTimestampMonotonic, 0 where it is not loaded
	muted      bool   // LogLevelMax= keeps some of what PID 1 writes about it out of the journal
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
		case string(key) == "LoadState" && string(sig) == "s":
			g.loaded = string(r.String()) == "loaded"
		case string(key) == "InvocationID" && string(sig) == "ay":
			copy(g.invocation[:], r.Bytes())
		case string(key) == stateEntered && string(sig) == "t":
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

// earlier reports whether a place comes before another. The present boot is the last one, whatever the wall clock
// says: it may have begun with a clock that was wrong.
func earlier(a, b records.Place, here string) bool {
	if now := b.Boot() == here; here != "" && now != (a.Boot() == here) {
		return now
	}
	return a.Before(b)
}

// oldest returns the earlier one of two places. What lies between them is read again, and no
// run is counted twice.
func oldest(a, b records.Place, here string) records.Place {
	if a == "" || b != "" && earlier(b, a, here) {
		return b
	}
	return a
}

// wanted are the properties that are kept of a snapshot.
var wanted = set("Id", "LoadState", "ActiveState", "SubState", "InvocationID", stateEntered, "Job", "InactiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic",

	"ActiveExitTimestampMonotonic", "LogLevelMax", "Result", "CanClean", "CleanResult", "NRestarts", "ExecMainCode", "ExecMainStatus", "ExecMainExitTimestampMonotonic")

func isWanted(property []byte) bool { return wanted[string(property)] }

func set(keys ...string) map[string]bool {
	set := make(map[string]bool)
	for _, key := range keys {
		set[key] = true
	}
	return set
}

// hasJob reports whether a unit has a job. If the change does not say, it returns what was
// known.
func hasJob(it link.Item, known bool) bool {
	r := wire.NewReader(it.Body, it.Order)
	r.String() // the interface
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		key, sig := r.String(), r.Variant()
		if string(key) == "Job" && string(sig) == "(uo)" {
			r.Align(8)
			return r.Uint32() != 0
		}
		r.Skip(sig)
	}
	return known
}
