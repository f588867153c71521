package store

import "fmt"

// A Sum is what the records of a unit add up to.
type Sum struct {
	Before Counts // the counts before its first record that is still there
	After  Counts
	seq    uint64
}

// A Fault is a record that does not fit to the one before it of the same unit.
type Fault struct {
	Unit          string
	Seq, Before   uint64 // the numbers of the two
	Counted, Made Counts // the counts of the record, and those that it should have after the one before
}

// String says what does not fit.
func (f Fault) String() string {
	return fmt.Sprintf("record %d says %+v, but with record %d it is %+v", f.Seq, f.Counted, f.Before, f.Made)
}

// These are what a record of kind Monitor says. After Stopped, the chronicle and the state file
// fit. If that record has the flag Untold, they do not, and the next start brings them together.
const (
	Started = "started"
	Stopped = "stopped"
)

// These are what a record of kind Gap says. A gap that is closed has the flag AtLeast if the journal
// could not show all of what happened in it.
const (
	GapOpened = "opened"
	GapClosed = "closed"
)

// Sums adds up the records of each unit.
type Sums struct {
	Units map[string]Sum
	// Gone has the units that were forgotten since the monitor was last stopped, with what their
	// records added up to. If the monitor was killed before it saved that, they come again.
	Gone   map[string]Counts
	Faults []Fault
	// Clocks is the last record that has Time and Monotonic of the same moment.
	Clocks Record
	// Gap is the last record of kind Gap. If that gap is open, it has the flag AtLeast as soon as
	// any record has it.
	Gap Record
}

// Add adds a record. Records come in their order.
func (s *Sums) Add(r *Record) {
	if s.Units == nil {
		s.Units, s.Gone = map[string]Sum{}, map[string]Counts{}
	}
	if r.Kind == Monitor && r.To == Stopped && r.Flags&Untold == 0 {
		clear(s.Gone)
	}
	switch r.Kind {
	case Monitor, Clock:
		s.Clocks = *r
	case Gap:
		s.Gap = *r
	}
	if s.Gap.To == GapOpened {
		s.Gap.Flags |= r.Flags & AtLeast
	}
	if r.Unit == "" {
		return
	}
	sum, known := s.Units[r.Unit]
	delete(s.Gone, r.Unit)
	switch {
	case r.Kind == Forgotten:
		delete(s.Units, r.Unit)
		s.Gone[r.Unit] = r.After
		return
	case r.Kind == Seen:
		sum = Sum{Before: r.After, After: r.After}
	case !known:
		sum.Before = r.After.Minus(r.Delta)
	default:
		if made := sum.After.Plus(r.Delta); made != r.After {
			s.Faults = append(s.Faults, Fault{r.Unit, r.Seq, sum.seq, r.After, made})
		}
	}
	sum.After, sum.seq = r.After, r.Seq
	s.Units[r.Unit] = sum
}
