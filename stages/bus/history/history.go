// Package history reads from the journal what happened to units while nobody
// watched: PID 1 records there each start and each end of an invocation.
package history

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
	Result     string    // of its end
	Code       int32     // of the main process: a CLD_ code of waitid(2), or 0
	Status     int32
	Scheduled  uint32    // restarts that systemd scheduled after it
	NRestarts  uint32    // what the last of them had counted up to
	Refused    time.Time // when systemd gave up restarting it; zero if it did not
	Refusal    string    // why: "start-limit-hit", or "resources" where it could not restart it

	stopping uint64 // the job that stops it
	whole    bool   // the journal has its start: it was not read from its middle on
	due      bool   // the restart that was scheduled last has begun no other run yet
	cleaned  bool   // a process of systemctl clean has failed
}

// How an invocation ended that no record tells the end of, because its boot
// ended before it; or that ended by itself, but because of that.
const (
	Shutdown  = "shutdown"
	PowerLoss = "power-loss"
	// Unknown is for a boot of which the journal has nothing any more.
	Unknown = "unknown"
)

// A Past is what the journal tells of one unit, or of the end of a boot.
type Past struct {
	Unit string // as PID 1 names it; empty for the end of a boot
	// Runs are in their order, without those of earlier Pasts but the last. The
	// first Tell of them are to be told; the others are there so that a run that
	// was told already can be found among them, or before them.
	Runs []Run
	Tell int
	// Restarts is how many restarts of the unit were scheduled from where the reader
	// began to the last run that is to be told.
	Restarts uint32
	// Place is that of the last record of which this is, empty where it does not matter.
	Place Place
	// Cut is set for the end of a boot: how that boot ended, at At. Everything before it
	// was of that boot.
	Cut string
	At  time.Time
	// Lossy is true if the journal lacks some of what happened before. Over is true if
	// the unit is passing, and has ended long before what was read last.
	Lossy, Over bool
}

// A Place is a cursor of the journal (sd_journal_get_cursor(3)).
type Place string

// Here returns the present place by the clock. It names no entry, but journalctl(1) finds
// the first one that is younger. It serves where no entry can be read.
func Here() Place {
	return Place(fmt.Sprintf("b=%s;m=%x;t=%x", Boot(), Clock(), time.Now().UnixMicro()))
}

// Beginning is before all that a journal has.
const Beginning Place = "t=0"

// entry reports whether the place is that of an entry.
func (p Place) entry() bool { return p.part('i') != "" }

// Boot is the boot id, 32 hexadecimal digits.
func (p Place) Boot() string { return p.part('b') }

// Made is when the place was made, by the wall clock and by CLOCK_MONOTONIC, in µs,
// of its boot. What is no place was made in 1970.
func (p Place) Made() (wall time.Time, clock uint64) {
	us, _ := strconv.ParseInt(p.part('t'), 16, 64)
	clock, _ = strconv.ParseUint(p.part('m'), 16, 64)
	return time.UnixMicro(us), clock
}

// Before reports whether a place is the earlier one. Places of one journal are
// numbered. Only where a journal was begun anew is the wall clock, which may
// have been wrong, all there is.
func (p Place) Before(q Place) bool {
	if p.entry() && p.part('s') == q.part('s') {
		return less(p.part('i'), q.part('i'))
	}
	return less(p.part('t'), q.part('t'))
}
