// Package records reads from the journal what happened to units while nobody
// watched: PID 1 records there each start and each end of an invocation.
package records

import (
	"fmt"
	"strconv"
	"time"
)

// Invocation is systemd's InvocationID.
type Invocation = [16]byte

// A Run is one invocation of a unit, as the journal tells it.
type Run struct {
	Invocation Invocation
	Begun      time.Time // of its first record
	Clock      uint64    // of that, CLOCK_MONOTONIC in µs
	Ended      time.Time // zero while it is running
	EndClock   uint64    // likewise, of the end; 0 where that was in an earlier boot
	Result     string    // UNIT_RESULT of its end, or one of the constants below
	Code       int32     // how the main process ended: a CLD_ code of waitid(2), or 0
	Status     int32
	Scheduled  uint32    // restarts that systemd scheduled after it
	NRestarts  uint32    // N_RESTARTS of the last of them
	Refused    time.Time // when systemd gave up restarting it; zero if it did not
	Refusal    string    // why: "start-limit-hit", or "resources" where it could not restart it

	stopping uint64 // the job that stops it
	whole    bool   // its start was read, too
	due      bool   // a restart was scheduled and has not begun the next run yet
	cleaned  bool   // a process of systemctl clean has failed
}

// These are the results of a run that the end of its boot ended. PID 1 does not write them.
const (
	Shutdown  = "shutdown"
	PowerLoss = "power-loss"
	// Unknown is the result if the journal has nothing of that boot any more.
	Unknown = "unknown"
)

// A Past is what the journal tells of one unit, or of the end of a boot.
type Past struct {
	Unit string // as PID 1 names it; empty for the end of a boot
	// Runs are in their order. The first may be the last one of the Past before. Only the
	// first NewRuns of them are new. The others show where a run belongs that is known already.
	Runs    []Run
	NewRuns int
	// Restarts counts the restarts of the unit that were scheduled up to the last new run, from the place
	// where the reader began or from the last Cut on.
	Restarts uint32
	// Place is the place of the last record that was read. It is empty where it does not matter, and if
	// there was none. Boot is the boot of all this.
	Place Place
	Boot  string
	// Cut is set for the end of a boot: how that boot ended, at At. Every Past before it was of
	// that boot or of an earlier one. Next is the place where the next boot begins.
	Cut  string
	At   time.Time
	Next Place
	// Lossy is true if the journal lacks something that happened before. Over is true for a
	// passing unit whose last record lies far behind.
	Lossy, Over bool
}

// A Place is a cursor of the journal (sd_journal_get_cursor(3)).
type Place string

// Here returns the present place by the clock. It names no entry. From it journalctl(1) finds
// the first entry that is younger. It is for times when no entry can be read.
func Here() Place { return At(Boot(), Clock(), time.Now()) }

// At returns the place at a time by both clocks, of which clock is CLOCK_MONOTONIC of a boot, in µs.
func At(boot string, clock uint64, wall time.Time) Place {
	return Place(fmt.Sprintf("b=%s;m=%x;t=%x", boot, clock, wall.UnixMicro()))
}

// Beginning is the place before the first entry of a journal.
const Beginning Place = "t=0"

// next returns where the boot after this place begins. It names no entry, because nobody knows yet whether there
// is one: CLOCK_MONOTONIC is never 0 in an entry. journalctl(1) finds the first entry behind this place by its
// number, and if there are no such numbers any more, the first one of the boot.
func (p Place) next(boot string) Place {
	number, numbered := strconv.ParseUint(p.part('i'), 16, 64)
	wall, _ := p.Made()
	next := At(boot, 0, wall.Add(time.Microsecond))
	if numbered == nil {
		next = Place(fmt.Sprintf("s=%s;i=%x;%s", p.part('s'), number+1, next))
	}
	return next
}

// before returns the entry before the beginning of a boot; empty if the place does not tell it.
func (p Place) before() Place {
	number, err := strconv.ParseUint(p.part('i'), 16, 64)
	if err != nil || !p.begins() || number == 0 {
		return ""
	}
	return Place(fmt.Sprintf("s=%s;i=%x", p.part('s'), number-1))
}

// begins reports whether the place is where a boot begins.
func (p Place) begins() bool { return p.part('m') == "0" }

// entry reports whether the place is that of an entry.
func (p Place) entry() bool { return p.part('i') != "" && !p.begins() }

// Boot is the boot id, 32 hexadecimal digits.
func (p Place) Boot() string { return p.part('b') }

// Made returns when the place was made: by the wall clock, and by CLOCK_MONOTONIC of its boot
// in µs. If the place is not a cursor, both are 0.
func (p Place) Made() (wall time.Time, clock uint64) {
	us, _ := strconv.ParseInt(p.part('t'), 16, 64)
	clock, _ = strconv.ParseUint(p.part('m'), 16, 64)
	return time.UnixMicro(us), clock
}

// Before reports whether a place is earlier than another. The places of one journal are
// numbered. Places of two journals can only be compared by the wall clock, which may have been
// wrong.
func (p Place) Before(q Place) bool {
	if p.part('i') != "" && p.part('s') == q.part('s') {
		return less(p.part('i'), q.part('i'))
	}
	return less(p.part('t'), q.part('t'))
}
