package bus

import (
	"encoding/binary"
	"time"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/journald/records"
)

// Kind says what a Signal is.
type Kind uint8

// The kinds of Signal.
const (
	Changed   Kind = iota // PropertiesChanged: the body is sa{sv}as
	Snapshot              // the properties of the unit that matter: the body is a{sv}
	Missing               // systemd does not show the unit; no body
	Forgotten             // the unit is no longer monitored; no body
	Past                  // what the journal says about a time when nobody watched; no body
	Checked               // a Snapshot that shows nothing new: every change before it was sent
	Unchanged             // nothing happened to the unit in the gap, and the journal has nothing of it; no body
	Unloaded              // a unit that only a glob names has no unit file and was unloaded; no body
	Pattern               // Unit is a glob: all units that it names are counted up to Cursor; no body
	kinds
)

var kindNames = [kinds]string{"changed", "snapshot", "missing", "forgotten", "past", "checked", "unchanged", "unloaded", "pattern"}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// A Signal is what became known of one unit or glob: from PID 1, from the journal, or from a
// changed list of services. Kind says which.
type Signal struct {
	Kind Kind
	Unit string
	Body []byte
	// Buffer is where the body of a change lies. Release it when the body was read.
	Buffer *link.Buffer
	Order  binary.ByteOrder
	// Time is when it was read from the socket.
	Time time.Time
	Account
}

// An Account is the rest of a Signal, beside the body. Most fields mean something for some kinds
// only, and are zero for the others.
//
// Three fields say that the journal is not complete. Lossy: records are missing. Muted: the unit's
// own setting keeps them out. Lost: the monitor's state file is missing.
type Account struct {
	// Glob is the glob that names an Unloaded unit. Recovered is true for Unloaded if the unit
	// came and went in a gap, so that only the journal knows of it.
	Glob      string
	Recovered bool
	// Ending is true while the machine is going down.
	Ending bool
	// Clock is when a Snapshot was read, CLOCK_MONOTONIC in µs.
	Clock uint64
	// New is true for the Snapshot of a unit that did not exist before the gap. For Missing it
	// is true if the unit comes and goes: that it is not loaded is no news then.
	New bool
	// Watched is when the source ceased to watch, CLOCK_MONOTONIC in µs; 0 if it had watched nothing yet.
	Watched uint64
	// Runs are the runs in the journal. A Snapshot carries those that no Past carried. The first
	// NewRuns of a Past are new. The runs behind them are known already, and show where the new
	// ones belong. Cut is set for the end of a boot: how that boot ended, at Time.
	Runs    []records.Run
	NewRuns int
	Cut     string
	// Boot is the boot of a Past's runs, the boot that a Cut ended, or the boot of a Snapshot.
	// Lossy is true for a Past if the journal lacks something that happened before it.
	Boot  string
	Lossy bool
	// Unread is true for a Snapshot if the journal could not be read. The gap before it then
	// stays open, since Opened. Muted is true if the unit's LogLevelMax= keeps what PID 1
	// says of it out of the journal.
	Unread, Muted bool
	Opened        time.Time
	// Lost is true for a Past or an Unread Snapshot if the saved state of the unit was lost. Last is true for a Cut
	// if the present boot is next.
	Lost, Last bool
	// From is the place where reading the journal began, or where the present boot begins. Restarts counts the
	// restarts that were scheduled from there to the last run in Runs, or to the Snapshot.
	From     records.Place
	Restarts uint32
	// Cursor is where to begin reading after the next gap. Snapshot, Unchanged and a Cut have it. It is
	// empty where there is no journal. RestartsSinceCursor is the number of restarts that were
	// counted although their records come after Cursor: the next reading finds them again.
	// Complete is true for a Snapshot if the journal had everything since the last cursor.
	Cursor              records.Place
	RestartsSinceCursor uint32
	Complete            bool
}

// A List is which services are to be monitored: names and globs.
type List struct{ Services []string }

// Known is what an earlier process knew of a unit.
type Known struct {
	Name   string        // the unit's own name, if it is monitored by an alias
	Cursor records.Place // where to begin reading the journal
}
