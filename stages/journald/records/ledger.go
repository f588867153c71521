package records

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Messages of PID 1 (systemd.journal-fields(7), sd-messages.h). With
// INVOCATION_ID, each is about one run of UNIT.
const (
	started       = "39f53479d3a045ac8e11786248231fbf"
	starting      = "7d4958e842da4a758f6c1cdc7b36dcc5"
	startFailed   = "be02cf6855d2428ba40df7e9d022f03d"
	stopping      = "de5b426a63be47a7b6ac3eaac82e2f6f"
	failed        = "d9b373ed55a64feb8242e02dbe79a49c"
	succeeded     = "7ad2d189f7e94e70a38c781354912448"
	skipped       = "0e4284a0caca4bfc81c0bb6786972673" // by ExecCondition=
	processExited = "98e322203f7a4ed290d09fe03c09fe15"
	restartSet    = "5eb03494b6584870a536b337290809b3"
	// Of journald: it wrote its last record; it left out what came too fast.
	journalStopped = "d93fb3c9c24d451a97cea615ce59c00b"
	suppressed     = "a596d6fe7bfa4994828e72309e95d61e"
)

// shutdownTarget is started first when the machine is to go down, and by that
// everything else is stopped (systemd.special(7)).
const shutdownTarget = "shutdown.target"

// hold is how many runs of a unit the ledger keeps back. journald may record a run after the
// unit has announced the next one. But it is never later than what fits into journald's
// socket, which is some hundred records.
const hold = 512

// Hundreds of thousands of units may come and go. Every sweepEvery records the ledger looks for
// passing units that have ended and that the last hold records do not name. It forgets them.
const sweepEvery = 1024

// A ledger makes runs of records. It is told these in the order of the journal.
type ledger struct {
	wanted func(unit string) bool
	// passing reports whether a unit comes and goes, and is not there now.
	passing func(unit string) bool
	records uint64 // that were taken in
	tell    func(Past) error
	ended   func(boot string) (how string, at time.Time, err error)

	boot     string
	now      string // the boot that goes on
	from     Place  // where the reader began
	place    Place  // of the last record
	shutdown uint64 // the job of shutdown.target in this boot
	units    map[string]*unit
	restarts map[string]uint32 // scheduled so far in this boot
	loss     string            // why the journal lacks something, for people; empty if nothing is missing
	endless  map[string]bool   // units with a run and a next run, but no end between them
}

// A unit has the runs that were not told yet, and the last one that was.
type unit struct {
	last uint64 // the number of its last record
	runs []Run
	news bool // something in runs was not told yet
	main exit // how the main process of the run of ended
	of   Invocation
	past bool // the runs are of an earlier boot, so their clock means nothing now

	endless bool // a run had no end when the next began, or was refused
}

// add takes a record in.
func (l *ledger) add(r *record) error {
	if r.boot != l.boot {
		if err := l.enter(r.boot); err != nil {
			return err
		}
	}
	l.place = r.place
	if l.records++; l.records%sweepEvery == 0 {
		if err := l.sweep(); err != nil {
			return err
		}
	}
	switch {
	case r.driver && r.message == suppressed:
		if strings.HasSuffix(r.text, " init.scope") {
			l.lose("journald left out what came too fast, see RateLimitBurst= in journald.conf(5)")
		}
	case !r.pid1: // a mark, which anybody may write with any other field
	case r.unit == "" && falls(r):
		l.lose(silenced)
	case r.unit == shutdownTarget && r.message == started:
		l.shutdown = r.job
	case r.invocation != Invocation{} && l.wanted(r.unit): // a start that a condition skipped has none
		u := l.units[r.unit]
		if u == nil {
			u = &unit{past: r.boot != l.now}
			l.units[r.unit] = u
		}
		u.last = l.records
		if u.add(r); u.endless {
			if l.endless == nil {
				l.endless = make(map[string]bool)
			}
			l.endless[r.unit] = true
		}
		if r.message == restartSet {
			l.restarts[r.unit]++
		}
		if len(u.runs) >= 2*hold {
			return l.flush(r.unit, hold)
		}
	}
	return nil
}

// sweep forgets the passing units that are over, and tells what is news of them.
func (l *ledger) sweep() error {
	if l.passing == nil {
		return nil
	}
	for name, u := range l.units {
		if u.last+hold > l.records || u.runs[len(u.runs)-1].Ended.IsZero() || !l.passing(name) {
			continue
		}
		past := l.past(name, 0)
		past.Over = true
		delete(l.units, name)
		delete(l.restarts, name)
		if !u.news {
			continue // to tell it again would count it again, because it may be folded by now
		}
		if err := l.tell(past); err != nil {
			return err
		}
	}
	return nil
}

// lose notes why the journal lacks something. The first reason counts.
func (l *ledger) lose(why string) {
	if l.loss == "" {
		l.loss = why
	}
}

// enter goes on to the next boot. The end of the boot before has ended all its runs.
func (l *ledger) enter(boot string) error {
	if l.boot != "" {
		how, at, err := l.ended(l.boot)
		if err == nil {
			err = l.end(how, at, boot)
		}
		if err != nil {
			return err
		}
	}
	l.boot = boot
	return nil
}

// end tells everything of a boot, and then how it ended and which boot is next.
func (l *ledger) end(how string, at time.Time, next string) error {
	for _, u := range l.units {
		if last := &u.runs[len(u.runs)-1]; l.shutdown != 0 && last.stopping > l.shutdown && last.Result == success {
			last.Result, u.news = Shutdown, true
		}
	}
	if err := l.flushAll(); err != nil {
		return err
	}
	clear(l.units)
	clear(l.restarts)
	l.shutdown = 0
	return l.tell(Past{Cut: how, At: at, Next: cmp.Or(l.place, l.from).next(next), Place: l.place, Boot: l.boot, Lossy: l.loss != ""})
}

// flushAll tells everything that was not told yet.
func (l *ledger) flushAll() error {
	for name, u := range l.units {
		if u.news {
			if err := l.flush(name, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush tells the runs of a unit, except the last ones, which are held back.
func (l *ledger) flush(name string, held int) error {
	u := l.units[name]
	tell := len(u.runs) - held
	past := l.past(name, held)
	// The last run that was told may go on. It also shows where the next ones belong.
	u.runs = append(u.runs[:0], u.runs[tell-1:]...)
	u.news = held > 0
	return l.tell(past)
}

// past returns what is known of a unit. The last runs are held back.
func (l *ledger) past(name string, held int) Past {
	runs := l.units[name].runs
	tell := len(runs) - held
	past := Past{Unit: name, Runs: slices.Clone(runs), NewRuns: tell, Restarts: l.restarts[name], Place: l.place, Boot: l.boot, Lossy: l.loss != ""}
	for _, r := range runs[tell:] {
		past.Restarts -= r.Scheduled
	}
	return past
}

const success = "success"

func (u *unit) add(r *record) {
	run := u.run(r)
	u.news = true
	switch r.message {
	case restartSet:
		run.Scheduled++
		run.NRestarts = r.restarts
		run.due = true
	case processExited:
		switch {
		case !run.Ended.IsZero():
			run.cleaned = true // after the end, only a clean runs a process for this run
		case r.command == "" || r.command == "ExecStart":
			u.main, u.of = r.exit, r.invocation
		}
	case stopping:
		run.stopping = r.job
	case failed, succeeded, skipped:
		switch {
		case !run.Ended.IsZero() && r.message == failed:
			run.refuse(r)
		case !run.Ended.IsZero():
		case r.message == failed && r.result == startLimitHit:
			u.unrecorded(run, r)
		default:
			u.end(run, r)
		}
	case startFailed:
		// A job that the start limit refuses fails. So does one whose dependency fails. A
		// restart that PID 1 cannot schedule has no job.
		switch {
		case !run.Refused.IsZero():
			run.Refusal = startLimitHit
		case run.due:
			run.Refused, run.Refusal = r.at, resources
		}
	}
}

const (
	startLimitHit = "start-limit-hit"
	resources     = "resources"
)

// refuse notes that a unit has failed for good: PID 1 then writes the end of the last run once
// more. It writes the same about a clean that failed, which ends no run.
func (run *Run) refuse(r *record) {
	if run.cleaned {
		run.cleaned = false
		return
	}
	run.Refused, run.Refusal = r.at, resources
	if run.Scheduled > 0 || r.result == startLimitHit {
		run.Refusal = startLimitHit
	}
}

// unrecorded notes that the start limit refused the next start, although the journal has
// no end of this run. There was one, and its record is missing.
func (u *unit) unrecorded(run *Run, r *record) {
	run.Ended, run.Result = r.at, Unknown
	if !u.past {
		run.EndClock = r.clock
	}
	u.endless = u.endless || run.whole // or its end may lie before what is read
	run.refuse(r)
}

func (u *unit) end(run *Run, r *record) {
	run.Ended = r.at
	if !u.past {
		run.EndClock = r.clock
	}
	switch r.message {
	case failed:
		run.Result = r.result
	case succeeded:
		run.Result = success
	case skipped:
		run.Result = "exec-condition"
	}
	if u.of == run.Invocation {
		run.Code, run.Status = u.main.code, u.main.status
	}
}

// lookBack is how many younger runs may be there when a record comes. More than none was never
// seen.
const lookBack = 4

// run returns the run of a record: one of the last, or a new one.
func (u *unit) run(r *record) *Run {
	for i := len(u.runs) - 1; i >= max(0, len(u.runs)-lookBack); i-- {
		if u.runs[i].Invocation == r.invocation {
			return &u.runs[i]
		}
	}
	if n := len(u.runs); n > 0 && u.runs[n-1].whole && u.runs[n-1].Ended.IsZero() {
		u.endless = true
	}
	// If a run fails at once, PID 1 writes its end before "Started", and without resources (257)
	// before "Starting". So if that is the unit's first record, the end may lie before the place
	// where we began to read.
	whole := (r.message == starting || r.message == started) && len(u.runs) > 0
	u.runs = append(u.runs, Run{Invocation: r.invocation, Begun: r.at, Clock: r.clock, whole: whole})
	return &u.runs[len(u.runs)-1]
}
