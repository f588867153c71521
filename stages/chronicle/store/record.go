// Package store keeps records of what happened to units, in a bounded space on disk. The newest
// record replaces the oldest ones when the space is full.
//
// A store is a directory of segments. Each segment has a fixed size. It is written full of zeros
// before its first record, so a record changes one page of the file and nothing else: neither its
// size nor where it lies on the disk. A segment consists of pages of 4 kB. A page can be read
// without any other page, so damage in one of them costs what is behind it in that page alone.
package store

import (
	"fmt"
	"time"
)

// Kind says what a Record tells. The numbers are in the files, so they must not change.
type Kind uint8

// The kinds of Record. The names are those of classify.Kind where there is one.
const (
	None       Kind = iota
	Start           // a new invocation
	Stop            // an invocation ended well
	Crash           // an invocation ended in any other way
	UnknownEnd      // an invocation ended, and nobody knows how
	Restart         // systemd scheduled an automatic restart
	GaveUp          // systemd does not restart it
	Seen            // the first record of a unit: its counts begin with Record.After
	Forgotten       // the unit is no longer monitored, or it is gone and its glob has its counts
	Monitor         // the monitor itself: To is "started" or "stopped"
	Many            // several events in one record: Delta says which
	Clock           // the wall clock was set, or the machine has slept: From and To are times in RFC 3339
	Gap             // the journal cannot be read: To is "opened" or "closed"
	State           // the unit is in the active state To, and that is no start and no end of a run
	kinds
)

var kindNames = [kinds]string{"none", "start", "stop", "crash", "unknown-end", "restart", "gave-up", "seen", "forgotten", "monitor", "many", "clock", "gap", "state"}

// String returns the name of the kind.
func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Counts are the counts of a unit.
type Counts struct{ Starts, Stops, Crashes, Unknown, Restarts int64 }

// Plus returns the sum of two counts.
func (c Counts) Plus(d Counts) Counts {
	return Counts{c.Starts + d.Starts, c.Stops + d.Stops, c.Crashes + d.Crashes, c.Unknown + d.Unknown, c.Restarts + d.Restarts}
}

// Minus returns the difference of two counts.
func (c Counts) Minus(d Counts) Counts {
	return Counts{c.Starts - d.Starts, c.Stops - d.Stops, c.Crashes - d.Crashes, c.Unknown - d.Unknown, c.Restarts - d.Restarts}
}

// Times returns the counts n times.
func (c Counts) Times(n int64) Counts {
	return Counts{n * c.Starts, n * c.Stops, n * c.Crashes, n * c.Unknown, n * c.Restarts}
}

// Sum returns how many events the counts stand for.
func (c Counts) Sum() int64 { return c.Starts + c.Stops + c.Crashes + c.Unknown + c.Restarts }

// Of returns the count to which an event of a kind adds, from Start to Restart.
func (c *Counts) Of(k Kind) *int64 { return c.all()[k-Start] }

// all returns the counts in the order of the kinds.
func (c *Counts) all() [5]*int64 {
	return [5]*int64{&c.Starts, &c.Stops, &c.Crashes, &c.Unknown, &c.Restarts}
}

// Flags say what is special about a record. The bits are in the files.
type Flags uint16

// The flags of a record.
const (
	Recovered Flags = 1 << iota // it was read from the journal later
	AtLeast                     // more may have happened
	Untrusted                   // Time is certainly wrong
	Missed                      // of a Restart: it counts its run, too, which nobody saw: a start and an unknown end
	Untold                      // of Many: the counts grew, or fell, while the chronicle was not written
)

// A Record tells one thing that happened to a unit, or to the monitor itself. Then Unit is empty.
type Record struct {
	Seq  uint64 // grows from record to record, and is never used twice
	Kind Kind
	Flags
	// Time is the wall clock, to the microsecond, in the zone of then. If Kind is Many, it is that of
	// the first event, and Until that of the last one. If Kind is Gap, it is when the gap was opened,
	// and Until when it was closed.
	Time, Until time.Time
	// Monotonic is CLOCK_MONOTONIC in µs, in the boot Boot; 0 if it is not known.
	Monotonic uint64
	Boot      string // 32 hexadecimal digits, or empty
	Unit      string
	// From and To are active states, unless Kind says what they are. Rule is the evidence: see classify.Rule.
	From, To, SubState string
	Rule               string
	// Result, Code and Status say how a run ended: see classify.Cause. For GaveUp they say why. If Kind
	// is Many, they are of the last crash.
	Result       string
	Code, Status int32
	Invocation   [16]byte
	// Up is how long the run took that the record ends. Down is how long the unit was down after a
	// crash until the run that the record begins. Both are to the millisecond, and 0 if they are
	// not known. If Kind is Many, they are sums.
	Up, Down time.Duration
	// Delta is what the record adds to the counts of the unit, and After are the counts with it.
	Delta, After Counts
}

// Single returns what a record of a kind adds to the counts.
func Single(k Kind, f Flags) (d Counts) {
	if k >= Start && k <= Restart {
		*d.Of(k) = 1
	}
	if k == Restart && f&Missed != 0 {
		d.Starts, d.Unknown = 1, 1
	}
	return d
}
