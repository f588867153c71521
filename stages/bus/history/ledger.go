package history

import (
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

// hold is how many runs of a unit are known before the first of them is told,
// and with it that those before are too. journald may record a run later than
// its unit says that the next one is there, but no later than its socket is
// long, which is some hundred records.
const hold = 512

// Units that come and go may be hundreds of thousands. Of those that are passing, the
// ledger forgets what has ended and was not heard of for hold records, and looks for them
// every sweepEvery records.
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
	place    Place  // of the last record
	shutdown uint64 // the job of shutdown.target in this boot
	units    map[string]*unit
	restarts map[string]uint32 // scheduled so far, in all boots
	loss     string            // why the journal lacks something, for people; empty if it has all
	endless  map[string]bool   // units of which it has a run, the next one, and no end between
}

// unit is what is not told yet of a unit, and the last run that is.
type unit struct {
	last uint64 // the number of its last record
	runs []Run
	news bool // something in runs is not told yet
	main exit // how the main process ended
	of   Invocation
	past bool // of an earlier boot, whose clock is over

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

// sweep tells and forgets the passing units that are over.
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
			continue // or it is counted again, where it is folded by now
		}
		if err := l.tell(past); err != nil {
			return err
		}
	}
	return nil
}

// lose notes why the journal lacks something. The first reason is the one that is told.
func (l *ledger) lose(why string) {
	if l.loss == "" {
		l.loss = why
	}
}

// enter goes on to the next boot. The one before has ended everything in it.
func (l *ledger) enter(boot string) error {
	if l.boot != "" {
		how, at, err := l.ended(l.boot)
		if err == nil {
			err = l.end(how, at)
		}
		if err != nil {
			return err
		}
	}
	l.boot = boot
	return nil
}

// end tells the end of the boot, after all that was before.
func (l *ledger) end(how string, at time.Time) error {
	for _, u := range l.units {
		if last := &u.runs[len(u.runs)-1]; l.shutdown != 0 && last.stopping > l.shutdown && last.Result == success {
			last.Result, u.news = Shutdown, true
		}
	}
	if err := l.flushAll(); err != nil {
		return err
	}
	clear(l.units)
	l.shutdown = 0
	return l.tell(Past{Cut: how, At: at, Place: l.place, Lossy: l.loss != ""})
}

// flushAll tells all that is not told yet.
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

// flush tells of a unit, but for the last runs that are to be held back.
func (l *ledger) flush(name string, held int) error {
	u := l.units[name]
	tell := len(u.runs) - held
	past := l.past(name, held)
	// The last one that is told may go on, and it is what the next are known by.
	u.runs = append(u.runs[:0], u.runs[tell-1:]...)
	u.news = held > 0
	return l.tell(past)
}

// past is what is known of a unit, of which the last runs are to be held back.
func (l *ledger) past(name string, held int) Past {
	runs := l.units[name].runs
	tell := len(runs) - held
	past := Past{Unit: name, Runs: slices.Clone(runs), Tell: tell, Restarts: l.restarts[name], Place: l.place, Lossy: l.loss != ""}
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
			run.cleaned = true // nothing else runs then in the name of this run
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
		// The start limit refuses a job, which fails with it. A restart that cannot be
		// scheduled has none. The job also fails with what the unit needs.
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

// refuse takes in that a unit has failed for good: PID 1 then repeats the end of the
// run before. It also says so of a clean that failed, which ends no run.
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

// unrecorded takes in that the start limit refused the next start, although the journal has
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

// lookBack is how many runs may be there that are younger than a record's.
// None was ever seen.
const lookBack = 4

// run returns the run of a record, one of the last or a new one.
func (u *unit) run(r *record) *Run {
	for i := len(u.runs) - 1; i >= max(0, len(u.runs)-lookBack); i-- {
		if u.runs[i].Invocation == r.invocation {
			return &u.runs[i]
		}
	}
	if n := len(u.runs); n > 0 && u.runs[n-1].whole && u.runs[n-1].Ended.IsZero() {
		u.endless = true
	}
	// A run that fails at once has ended before it is written that it was started. So
	// where that is the first record of all, its end may lie before what is read.
	whole := r.message == starting || r.message == started && len(u.runs) > 0
	u.runs = append(u.runs, Run{Invocation: r.invocation, Begun: r.at, Clock: r.clock, whole: whole})
	return &u.runs[len(u.runs)-1]
}
