package bus

import (
	"encoding/binary"
	"time"

	"service-monitor/stages/bus/history"
)

// Kind says what a Signal is.
type Kind uint8

// The kinds of Signal.
const (
	Changed   Kind = iota // PropertiesChanged: the body is sa{sv}as
	Snapshot              // those properties of the unit that matter: the body is a{sv}
	Missing               // systemd refuses to show the unit; no body
	Forgotten             // the unit is no longer monitored; no body
	Past                  // what the journal tells of a time when nobody watched; no body
	Checked               // a Snapshot, of whose changes all were handed on
	Unchanged             // nothing happened to the unit, and the journal tells nothing of it; no body
	Unloaded              // systemd has unloaded a unit that only a glob names and that has no unit file; no body
	Pattern               // the unit is a glob: all units that it names are known up to Cursor; no body
	kinds
)

var kindNames = [kinds]string{"changed", "snapshot", "missing", "forgotten", "past", "checked", "unchanged", "unloaded", "pattern"}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// A Signal is what PID 1 said of one unit.
type Signal struct {
	Kind  Kind
	Unit  string
	Body  []byte
	Order binary.ByteOrder
	// Time is when it was read from the socket.
	Time time.Time
	Account
}

// An Account is what is known of a signal beside its body.
type Account struct {
	// Glob, of Unloaded, is the glob that names the unit. Recovered is true if only the
	// journal has told of the unit.
	Glob      string
	Recovered bool
	// Ending is true while the machine is going down.
	Ending bool
	// Clock is when a Snapshot was read, CLOCK_MONOTONIC in µs.
	Clock uint64
	// New, of a Snapshot, is true for a unit that was not there before. Of Missing, it is true
	// for one that comes and goes: it is not loaded, which is no news.
	New bool
	// Runs are what the journal tells, of a Past, and of a Snapshot what was not
	// told before. Of a Past, the first Tell are to be told; Cut, where it is not
	// empty, is how the boot ended, at Time, that everything before was of.
	Runs []history.Run
	Tell int
	Cut  string
	// Boot is the boot that the runs of a Past were in, that a Cut ended, or in which a
	// Snapshot was taken. Lossy, of a Past, is true if the journal lacks some of what
	// happened before it.
	Boot  string
	Lossy bool
	// Unread, of a Snapshot, is true if the journal could not be read: the gap before it
	// stays open, and is told later. Opened is since when it could not. Muted is true
	// if the journal lacks what PID 1 says of the unit (LogLevelMax=).
	Unread, Muted bool
	Opened        time.Time
	// Lost is, of such a Snapshot, true if what was known of the unit before is lost.
	Lost bool
	// From is from where the journal was read, and Restarts how many restarts it
	// has had scheduled since, up to the last run that is told or to the snapshot.
	From     history.Place
	Restarts uint32
	// Cursor is from where to read the journal after the next time when nobody
	// watches, of a Snapshot (empty where it cannot be read) and of Unchanged. Since
	// is how many of the restarts are behind it. Told, of a Snapshot, is true if the
	// journal has told all since the last cursor.
	Cursor history.Place
	Since  uint32
	Told   bool
}

// A List is which services are to be monitored: names and globs.
type List struct{ Services []string }

// Known is what an earlier process knew of a unit.
type Known struct {
	Name   string        // its own, if that is another one
	Cursor history.Place // from where to read in the journal what happened since
}
