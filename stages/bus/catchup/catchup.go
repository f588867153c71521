// Package catchup says how the source accounts for a gap, a time in which nobody
// watched. It is a pure state machine: [State.Step] takes what happened and returns
// what to do. The source runs the actions; it decides nothing itself.
//
// A gap is accounted for in this order:
//
//	Watching ─Missed─▶ Marking ─Marked─▶ Asking ─Synced─▶ Reading ─Reached─▶ Closing ─Read─▶ Settling ─Synced─▶ Watching
//
// A mark is left in the journal. Then the snapshots are asked for. Then the journal is
// read in one go, because to start journalctl(1) takes longer than all else. What lies
// before the mark is handed on as it is read, however much it is. What lies behind the
// mark is little. It is kept, and compared run by run with the snapshots and with the
// changes that were held back meanwhile. At the end PID 1 is asked for a sign: it has
// sent the changes of all that it had written before.
//
// Where the journal cannot be read now, the snapshots are handed on without it:
//
//	MarkFailed, ReadFailed ─▶ Blind ─Synced─▶ BlindSettling ─Synced─▶ Watching
//
// The gap then stays open: the journal is tried again, less and less often, until it
// was read.
package catchup

import "time"

// Phase is where the source is between a gap and watching.
type Phase uint8

// The phases.
const (
	Watching      Phase = iota
	Marking             // a mark is being left in the journal
	Asking              // the snapshots are on their way
	Reading             // the journal is being read, up to the mark
	ReadingAgain        // likewise, but more was missed meanwhile
	Closing             // the journal is being read on, up to behind the snapshots
	ClosingAgain        // likewise, but more was missed meanwhile
	Settling            // PID 1 was asked for a sign
	Blind               // the snapshots are on their way, and the journal cannot be read
	BlindSettling       // likewise, and PID 1 was asked for a sign
	phases
)

var phaseNames = [phases]string{
	"watching", "marking", "asking", "reading", "reading again", "closing", "closing again", "settling", "blind", "blind settling",
}

// String returns the name of the phase.
func (p Phase) String() string { return phaseNames[p] }

// Input is what happened.
type Input uint8

// The inputs.
const (
	Missed       Input = iota // something may have been missed: the gap begins, or begins anew
	Compare                   // nothing was missed, and the journal is to be compared with that
	Marked                    // the mark is left
	MarkFailed                // it could not be left
	TooEarly                  // it could not be left, and there was no bus yet either
	Synced                    // all that PID 1 was asked for is there
	Late                      // so it is, but a snapshot among it is younger than what was read
	Reached                   // the journal is read up to the mark
	Read                      // the journal is read
	ReadFailed                // the journal cannot be read now
	RetryDue                  // it is time to try the journal again
	TrySucceeded              // the journal can be read
	TryFailed                 // it cannot
	inputs
)

var inputNames = [inputs]string{
	"missed", "compare", "marked", "mark failed", "too early", "synced", "late", "reached", "read", "read failed", "retry due",
	"try succeeded", "try failed",
}

// String returns the name of the input.
func (i Input) String() string { return inputNames[i] }

// Action is what to do, in the order in which Step returns it.
type Action uint8

// The actions.
const (
	Begin       Action = iota // to account for a gap, from the place up to which the journal is known
	Abandon                   // that: it begins when there is a bus
	LeaveMark                 // in the journal
	TellKept                  // hand on what was kept of the journal: all of it is true, wherever the snapshots stand
	Drop                      // what was kept and held back: newer snapshots will be asked for
	DropKept                  // what was kept alone
	GoBlind                   // do without the journal
	Ask                       // for the snapshots that are due
	AskAll                    // for all of them
	ReadJournal               // up to now
	Ping                      // PID 1, for a sign
	HandOver                  // the snapshots, with what was kept of the journal and held back of changes
	HandOpen                  // the snapshots; the gap stays open
	TryLater                  // whether the journal can be read, after Delay
	Try                       // now, whether it can be read
	actions
)

var actionNames = [actions]string{
	"begin", "abandon", "leave mark", "tell kept", "drop", "drop kept", "go blind", "ask", "ask all", "read journal", "ping",
	"hand over", "hand open", "try later", "try",
}

// String returns the name of the action.
func (a Action) String() string { return actionNames[a] }

// firstDelay and lastDelay bound how long the journal is left alone. It is tried soon,
// because most of what keeps it from being read is over within seconds.
const (
	firstDelay = time.Second
	lastDelay  = 5 * time.Minute
)

// State is where the source is, and how often the journal could not be read since it
// last was.
type State struct {
	Phase    Phase
	Failures uint
}

// Open reports whether a gap is open: the journal could not be read for it.
func (s State) Open() bool { return s.Failures > 0 }

// Delay is how long to wait before the journal is tried again.
func (s State) Delay() time.Duration {
	return min(firstDelay<<min(max(s.Failures, 1)-1, 16), lastDelay)
}

// Watches reports whether changes are handed on as they come.
func (s State) Watches() bool { return s.Phase == Watching }

// Asks reports whether snapshots may be asked for. While the journal is read, they
// would be older than what is read.
func (s State) Asks() bool {
	return s.Phase == Watching || s.Phase == Asking || s.Phase == Settling || s.Phase == Blind || s.Phase == BlindSettling
}

// Reads reports whether the journal is being read.
func (s State) Reads() bool { return s.Phase >= Reading && s.Phase <= ClosingAgain }

// Again reports whether the journal is being read, and will be read once more with newer snapshots.
func (s State) Again() bool { return s.Phase == ReadingAgain || s.Phase == ClosingAgain }

// Settles reports whether PID 1 was asked for a sign, with which the gap is over.
func (s State) Settles() bool { return s.Phase == Settling || s.Phase == BlindSettling }

// Keeps reports whether what is read is kept, because it lies behind the mark.
func (s State) Keeps() bool { return s.Phase == Closing || s.Phase == ClosingAgain }

// A step is where a phase leads, and what to do on the way.
type step struct {
	to Phase
	do []Action
}

var (
	begin   = []Action{Begin, Drop, LeaveMark}
	anew    = []Action{TellKept, Drop, LeaveMark}
	blind   = []Action{TellKept, DropKept, GoBlind, AskAll}
	again   = []Action{Drop, Ask}
	nothing []Action
)

// steps are all transitions. What is not here changes nothing: it is the answer to
// something that is no longer wanted.
var steps = [phases][inputs]*step{
	Watching: {
		Missed:       {Marking, begin},
		Compare:      {Marking, begin},
		Synced:       {Watching, nothing},
		RetryDue:     {Watching, []Action{Try}},
		TrySucceeded: {Watching, nothing}, // the source compares
		TryFailed:    {Watching, []Action{TryLater}},
	},
	Marking: {
		Missed:     {Marking, []Action{Drop}}, // the snapshots are not asked for yet
		Marked:     {Asking, []Action{Ask}},
		MarkFailed: {Blind, []Action{GoBlind, AskAll}},
		TooEarly:   {Watching, []Action{Abandon}},
	},
	Asking: {
		Missed: {Marking, anew},
		Synced: {Reading, []Action{ReadJournal}},
	},
	Reading: {
		Missed:     {ReadingAgain, []Action{Drop}},
		Reached:    {Closing, nothing},
		ReadFailed: {Blind, blind},
	},
	ReadingAgain: {
		Missed:     {ReadingAgain, []Action{Drop}},
		Reached:    {ClosingAgain, nothing},
		ReadFailed: {Blind, blind},
	},
	Closing: {
		Missed:     {ClosingAgain, nothing},
		Read:       {Settling, []Action{Ping}},
		ReadFailed: {Blind, blind},
	},
	ClosingAgain: {
		Missed:     {ClosingAgain, nothing},
		Read:       {Marking, anew},
		ReadFailed: {Blind, blind},
	},
	Settling: {
		Missed: {Marking, anew},
		Synced: {Watching, []Action{HandOver}},
		Late:   {Marking, []Action{TellKept, Drop, LeaveMark, AskAll}},
	},
	Blind: {
		Missed: {Blind, again},
		Synced: {BlindSettling, []Action{Ping}},
	},
	BlindSettling: {
		Missed: {Blind, again},
		Synced: {Watching, []Action{HandOpen, TryLater}},
		Late:   {Blind, []Action{DropKept, AskAll}},
	},
}

// Step works on an input. It returns the next state and the actions to do.
func (s State) Step(in Input) (State, []Action) {
	next := steps[s.Phase][in]
	if next == nil {
		return s, nil
	}
	switch {
	case in == MarkFailed, in == ReadFailed, in == TryFailed:
		s.Failures++
	case s.Phase == Settling && in == Synced:
		s.Failures = 0
	}
	s.Phase = next.to
	return s, next.do
}
