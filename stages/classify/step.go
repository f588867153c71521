package classify

import (
	"strings"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// A deduction finds the facts of one step: what one update shows.
type deduction struct {
	life  Life
	facts []Transition
	base  Transition    // what all facts of the step have in common
	sub   string        // the sub state before the step
	from  records.Place // where reading the journal began
	// recorded is true if the journal had every restart that there was. lost is true if it did
	// not have the end of the last known run.
	recorded, lost bool
	scheduled      bool   // the step shows a new scheduled restart
	boot           string // of the runs that the update has
	// present is the life after an open gap, while the deduction is about that gap.
	present *Life
}

// step compares what is known of a unit with an update, and appends the facts. The rules were
// compared with the journal on systemd 247, 252 and 257:
//
//   - A new InvocationID is a start. The signal that announces it still has the old state, so
//     the fact comes with the next change.
//   - An invocation has ended if the unit is down after the invocation ran (it was seen not
//     down). It has also ended if the unit is down in another state than the one in which it was
//     announced: a unit whose EnvironmentFile= is missing fails without ever being up.
//     Each invocation ends once.
//   - If NRestarts has grown, systemd has scheduled restarts. A manual start and reset-failed
//     set NRestarts to zero.
//
// To count each "-> failed" would be wrong by one at each start limit, and would miss
// RestartMode=direct. To count each "inactive -> active" would count every automatic restart
// twice on 252.
func step(facts []Transition, was Life, u decode.Update) (Life, []Transition) {
	d := deduction{life: was, facts: facts, base: Transition{Unit: u.Unit, Time: u.Time, Source: source(u.Kind), Watched: u.Watched}, sub: was.SubState, from: u.From, boot: u.Boot}
	d.base.From = was.ActiveState
	switch u.Kind {
	case decode.Forgotten:
		d.add(Forgotten, NoRule)
		return Life{}, d.facts
	case decode.Past:
		d.past(u)
		return d.life, d.facts
	case decode.Unloaded:
		return d.unload(u), d.facts
	case decode.Pattern:
		d.pattern(u)
		return d.life, d.facts
	}
	d.base.To, d.base.SubState = u.State(), u.SubState
	if !was.Known() && d.see(u) {
		return d.life, d.facts
	}
	if was.Known() && d.renamed(u) {
		return d.life, d.facts
	}
	if u.Kind == decode.Snapshot && u.Unread {
		if d.unread(u) {
			return d.life, d.facts
		}
		u.Kind, u.Cursor = decode.Changed, ""
	}
	announced := d.announced(u)
	d.life.StateEntered = u.Entered
	if d.life.Name = alias(u); u.Kind == decode.Snapshot {
		d.gap(u)
	}
	d.miss(u.Invocation)
	d.observe(u)
	d.move(u)
	d.restarts(u)
	d.follow(u, announced)
	d.catchUp(u)
	return d.life, d.facts
}

// announced returns when the unit entered the state in which the invocation was announced. An
// invocation that fails to start enters the state failed. If the unit was failed already,
// systemd announces the invocation only after that.
func (d *deduction) announced(u decode.Update) uint64 {
	l := &d.life
	if u.ActiveState == "failed" && u.SubState == "failed" && l.ActiveState == "failed" && l.SubState == "failed" && u.Entered > l.StateEntered {
		return l.StateEntered
	}
	return u.Entered
}

// see works on the first update of a unit. It reports whether the step ends here: a run that is
// going on was started before the monitor watched, and is not counted.
func (d *deduction) see(u decode.Update) bool {
	// If the saved state was lost, everything that the journal has is still to be counted.
	if lost := u.Unread && u.Lost; lost || u.Kind != decode.Snapshot || u.New {
		d.appear()
		d.base.To, d.base.SubState = u.State(), u.SubState
		if lost {
			d.life.Cursor = records.Beginning
		}
		return false
	}
	d.life = Life{
		Name:                alias(u),
		ActiveState:         u.State(),
		SubState:            u.SubState,
		Invocation:          u.Invocation,
		NRestarts:           u.NRestarts,
		Entered:             u.Entered,
		StateEntered:        u.Entered,
		Begun:               begun(u),
		Cursor:              u.Cursor,
		Opened:              u.Opened,
		RestartsSinceCursor: u.RestartsSinceCursor, // as if they were counted
		Ran:                 !down(&u.Properties),
		Ended:               down(&u.Properties) || u.Invocation.IsZero(),
		Retrying:            retrying(&u.Properties),
	}
	if u.Cursor == "" {
		d.life.RestartsSinceCursor = uncounted
	}
	d.add(Seen, FirstSight)
	return true
}

// uncounted is the RestartsSinceCursor of a unit that was first seen while the monitor watched, as
// when an alias becomes the name of another unit. The next reading of the journal begins before that,
// and finds restarts that are not to be counted. Nobody knows how many they are. So no restart is added
// only because the journal has more of them than were counted.
const uncounted = 1 << 31

// appear adds a unit that did not exist before.
func (d *deduction) appear() {
	d.life = Life{ActiveState: "inactive", SubState: "dead", Ended: true}
	d.base.To, d.base.SubState = d.life.ActiveState, d.life.SubState
	d.add(Seen, FirstSight)
	d.base.From = d.life.ActiveState
}

// observe notes what the state shows about the known invocation.
func (d *deduction) observe(u decode.Update) {
	l := &d.life
	if u.Invocation != l.Invocation || l.Invocation.IsZero() {
		return
	}
	if l.Begun == 0 || !l.Ran { // the state may be the first one of the run
		l.Begun = max(l.Begun, u.Entered)
	}
	if down(&u.Properties) {
		return
	}
	if l.Ended && !l.Ran {
		// It was announced but not up yet when the unit was first seen, so it
		// looked as if it had ended.
		l.Ended, l.StartOwed, l.GivenUp = false, true, false
	}
	l.Ran, l.Retrying = true, false
}

// miss ends a run whose end was not seen: another invocation is there.
func (d *deduction) miss(next decode.Invocation) {
	if next == d.life.Invocation {
		return
	}
	d.addStart()
	if d.life.Running() {
		was := d.base
		d.base.AtLeast = true
		d.end(Cause{Result: Unknown}, NextRun)
		d.base = was
	}
}

// move adds a change of the state.
func (d *deduction) move(u decode.Update) {
	state := u.State()
	if state == d.life.ActiveState && u.SubState == d.life.SubState {
		return
	}
	d.life.ActiveState, d.life.SubState = state, u.SubState
	d.add(Moved, NewState)
	if u.Invocation == d.life.Invocation {
		d.addStart()
	}
}

// restarts adds the restarts that NRestarts shows. If there may have been more runs than are
// known, each restart proves one.
func (d *deduction) restarts(u decode.Update) {
	l := &d.life
	scheduled, known := u.NRestarts, l.Unexplained
	if scheduled >= l.NRestarts {
		scheduled -= l.NRestarts
	}
	before := known // so many of them came before the known run
	if !down(&u.Properties) {
		before = scheduled
	}
	l.NRestarts, l.Unexplained = u.NRestarts, 0
	d.scheduled = scheduled > 0
	if d.recorded {
		return
	}
	if u.Invocation != l.Invocation && l.Scheduled == 0 {
		known++ // the last one began the run that is there
	}
	if down(&u.Properties) {
		known++ // and another one may be waiting, or was refused or cancelled
	}
	missed := uint32(0)
	if d.base.AtLeast {
		missed = scheduled - min(scheduled, known)
	}
	count := func(n uint32) {
		l.RestartsSinceCursor += n
		l.Scheduled += n - min(n, before)
		before -= min(n, before)
	}
	d.base.Missed = true
	d.addRestarts(missed, NRestartsGrew, count)
	d.base.Missed = false
	d.addRestarts(scheduled-missed, NRestartsGrew, count)
}

// singly is how many restarts are told one by one if only their number is known. A unit that has looped for a day
// has a hundred thousand.
const singly = 100

// addRestarts adds restarts of which only the number is known. count, if there is one, notes in the life that
// so many are counted.
func (d *deduction) addRestarts(n uint32, by Rule, count func(n uint32)) {
	each := uint32(1)
	if n > singly {
		each = n
	}
	for ; n > 0; n -= each {
		if count != nil {
			count(each)
		}
		d.base.More = each - 1
		d.add(Restarted, by)
	}
	d.base.More = 0
}

// restart adds a scheduled restart.
func (d *deduction) restart(by Rule) {
	d.life.RestartsSinceCursor++
	d.add(Restarted, by)
}

// follow follows the invocation: its start, its end, and what systemd does then.
func (d *deduction) follow(u decode.Update, announced uint64) {
	l := &d.life
	// A unit that was unloaded meanwhile shows none. The last one is kept,
	// because the journal may show it again.
	if u.Invocation != l.Invocation && !u.Invocation.IsZero() {
		*l = l.next(u.Invocation)
		l.Entered, l.Begun = announced, announced
	}
	d.observe(u)
	if u.Kind == decode.Snapshot {
		// PID 1 answers nothing between the announcement of an invocation and its
		// first state. So a unit that is down here has run.
		l.Ran = true
		d.addStart()
	}
	if down(&u.Properties) && !l.Ended && (l.Ran || u.Entered != l.Entered) {
		d.finish(cause(u, d.base.From), DownAfterRun)
	}
	d.retry(u)
	d.giveUp(u)
}

// addStart adds the start that is owed, if there is one.
func (d *deduction) addStart() {
	if d.life.StartOwed {
		d.life.StartOwed = false
		d.add(Started, NewInvocation)
	}
}

// end adds the end of the known invocation.
func (d *deduction) end(c Cause, by Rule) {
	d.addStart()
	d.life.Ended, d.life.Ran = true, true
	d.base.Cause = c
	d.add(c.kind(), by)
}

// add adds a fact.
func (d *deduction) add(k Kind, by Rule) {
	fact := d.base
	fact.Kind, fact.Rule, fact.Invocation, fact.Life = k, by, d.life.Invocation, d.shared()
	if fact.InGap = d.present != nil; fact.Recovered {
		fact.Source, fact.Boot = Journal, d.boot
	}
	if k == Restarted || k == Seen || k == CaughtUp {
		fact.Cause = Cause{}
	}
	d.facts = append(d.facts, fact)
}

// shared returns the life as it is now, for a fact. Facts with the same life share it.
func (d *deduction) shared() *Life {
	if d.present != nil {
		return d.present.with(d.life)
	}
	if n := len(d.facts); n > 0 && *d.facts[n-1].Life == d.life {
		return d.facts[n-1].Life
	}
	life := d.life
	return &life
}

// down reports whether the unit is not running, starting or stopping. From 257 on, the unit is
// activating between two runs, with sub states such as auto-restart-queued. In maintenance,
// systemctl clean removes files of a unit that is inactive. The unit still shows the invocation
// of its last run then.
func down(p *decode.Properties) bool {
	switch p.ActiveState {
	case "inactive", "failed", maintenance:
		return true
	}
	return retrying(p)
}

const maintenance = "maintenance"

func retrying(p *decode.Properties) bool { return strings.HasPrefix(p.SubState, autoRestart) }

const autoRestart = "auto-restart"
