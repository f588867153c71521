package classify

import (
	"strings"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// telling is one step in the making.
type telling struct {
	life  Life
	facts []Transition
	base  Transition    // what all facts of the step have in common
	sub   string        // the sub state before the step
	from  records.Place // from where the journal was read
	// recorded: the journal has told of every restart that there was. lost: it
	// has not told how the last known run ended.
	recorded, lost bool
	scheduled      bool // a restart is scheduled that was not before
	// present is the life since an open gap, while something is told of that gap.
	present *Life
}

// step compares what is known of a unit with its new state, and appends what
// happened to facts. The rule was compared with the journal on systemd 247, 252 and 257:
//
//   - a new InvocationID is a start. The state in that very signal is still the
//     old one, so the fact is told with the change that follows.
//   - an invocation has ended, once, when the unit is down after the invocation
//     ran (was seen not down), or after it entered another state than the one
//     that was there when it was announced: a unit whose EnvironmentFile= is
//     missing fails without ever being up.
//   - a positive delta of NRestarts is a scheduled restart. NRestarts is zeroed by
//     a manual start and by reset-failed.
//
// Counting "-> failed" would be wrong by one at each start limit and would miss
// RestartMode=direct; counting "inactive -> active" doubles each automatic
// restart on 252.
func step(facts []Transition, was Life, u decode.Update) (Life, []Transition) {
	t := telling{life: was, facts: facts, base: Transition{Unit: u.Unit, Time: u.Time, Source: source(u.Kind)}, sub: was.SubState, from: u.From}
	t.base.From = was.ActiveState
	switch u.Kind {
	case decode.Forgotten:
		t.tell(Forgotten, NoRule)
		return Life{}, t.facts
	case decode.Past:
		t.past(u)
		return t.life, t.facts
	case decode.Unloaded:
		return t.unload(u), t.facts
	case decode.Pattern:
		t.pattern(u)
		return t.life, t.facts
	}
	t.base.To, t.base.SubState = u.State(), u.SubState
	if !was.Known() && t.see(u) {
		return t.life, t.facts
	}
	if was.Known() && t.renamed(u) {
		return t.life, t.facts
	}
	if u.Kind == decode.Snapshot && u.Unread {
		if t.unread(u) {
			return t.life, t.facts
		}
		u.Kind, u.Cursor = decode.Changed, ""
	}
	announced := t.announced(u)
	t.life.StateEntered = u.Entered
	if t.life.Name = alias(u); u.Kind == decode.Snapshot {
		t.gap(u)
	}
	t.miss(u.Invocation)
	t.observe(u)
	t.move(u)
	t.restarts(u)
	t.follow(u, announced)
	t.catchUp(u)
	return t.life, t.facts
}

// announced returns when the state was entered that was there when the invocation
// of an update was announced. An invocation that fails to start enters the state
// failed; where the unit was in it already, systemd does not announce the
// invocation before that.
func (t *telling) announced(u decode.Update) uint64 {
	l := &t.life
	if u.ActiveState == "failed" && u.SubState == "failed" && l.ActiveState == "failed" && l.SubState == "failed" && u.Entered > l.StateEntered {
		return l.StateEntered
	}
	return u.Entered
}

// see takes the first observation in, and reports whether that is all there is
// to it: a run that it finds going on was started before anybody watched, and
// is not counted.
func (t *telling) see(u decode.Update) bool {
	// Where what was known is lost, all that the journal has is still to be told.
	if lost := u.Unread && u.Lost; lost || u.Kind != decode.Snapshot || u.New {
		t.appear()
		t.base.To, t.base.SubState = u.State(), u.SubState
		if lost {
			t.life.Cursor = records.Beginning
		}
		return false
	}
	t.life = Life{
		Name:         alias(u),
		ActiveState:  u.State(),
		SubState:     u.SubState,
		Invocation:   u.Invocation,
		NRestarts:    u.NRestarts,
		Entered:      u.Entered,
		StateEntered: u.Entered,
		Begun:        begun(u),
		Cursor:       u.Cursor,
		Opened:       u.Opened,
		Since:        u.Since, // as if they were counted
		Ran:          !down(&u.Properties),
		Ended:        down(&u.Properties) || u.Invocation.IsZero(),
		Retrying:     retrying(&u.Properties),
	}
	t.tell(Seen, FirstSight)
	return true
}

// appear takes in a unit that was not there before.
func (t *telling) appear() {
	t.life = Life{ActiveState: "inactive", SubState: "dead", Ended: true}
	t.base.To, t.base.SubState = t.life.ActiveState, t.life.SubState
	t.tell(Seen, FirstSight)
	t.base.From = t.life.ActiveState
}

// observe notes what the state says of the known invocation.
func (t *telling) observe(u decode.Update) {
	l := &t.life
	if u.Invocation != l.Invocation || l.Invocation.IsZero() {
		return
	}
	if l.Begun == 0 {
		l.Begun = u.Entered
	}
	if down(&u.Properties) {
		return
	}
	if l.Ended && !l.Ran {
		// It was announced, but not up yet, when the unit was first observed, and
		// looked like one that had ended.
		l.Ended, l.StartOwed, l.GivenUp = false, true, false
	}
	l.Ran, l.Retrying = true, false
}

// miss accounts for a run whose end nobody saw: another invocation is there.
func (t *telling) miss(next decode.Invocation) {
	if next == t.life.Invocation {
		return
	}
	t.tellStart()
	if t.life.Running() {
		was := t.base
		t.base.AtLeast = true
		t.end(Cause{Result: Unknown}, NextRun)
		t.base = was
	}
}

// move tells of a new state.
func (t *telling) move(u decode.Update) {
	state := u.State()
	if state == t.life.ActiveState && u.SubState == t.life.SubState {
		return
	}
	t.life.ActiveState, t.life.SubState = state, u.SubState
	t.tell(Moved, NewState)
	if u.Invocation == t.life.Invocation {
		t.tellStart()
	}
}

// restarts tells of scheduled restarts. Where there may have been more runs than
// is known, each proves one.
func (t *telling) restarts(u decode.Update) {
	l := &t.life
	scheduled, known := u.NRestarts, l.Unexplained
	if scheduled >= l.NRestarts {
		scheduled -= l.NRestarts
	}
	l.NRestarts, l.Unexplained = u.NRestarts, 0
	t.scheduled = scheduled > 0
	if t.recorded {
		return
	}
	if u.Invocation != l.Invocation && l.Scheduled == 0 {
		known++ // the last of them began what is there
	}
	if down(&u.Properties) {
		known++ // and another one may wait, or was refused or cancelled
	}
	for i := range scheduled {
		t.base.Missed = t.base.AtLeast && i+known < scheduled
		t.restart(NRestartsGrew)
	}
	t.base.Missed = false
}

func (t *telling) restart(by Rule) {
	t.life.Scheduled++
	t.life.Since++
	t.tell(Restarted, by)
}

// follow follows the invocation.
func (t *telling) follow(u decode.Update, announced uint64) {
	l := &t.life
	// A unit that was unloaded meanwhile shows none; the last one is remembered,
	// because the journal may tell of it again.
	if u.Invocation != l.Invocation && !u.Invocation.IsZero() {
		*l = l.next(u.Invocation)
		l.Entered, l.Begun = announced, announced
	}
	t.observe(u)
	if u.Kind == decode.Snapshot {
		// PID 1 answers nothing between announcing an invocation and entering its
		// first state, so what is down here is over.
		l.Ran = true
		t.tellStart()
	}
	if down(&u.Properties) && !l.Ended && (l.Ran || u.Entered != l.Entered) {
		t.finish(cause(u, t.base.From), DownAfterRun)
	}
	t.retry(u)
	t.giveUp(u)
}

func (t *telling) tellStart() {
	if t.life.StartOwed {
		t.life.StartOwed = false
		t.tell(Started, NewInvocation)
	}
}

func (t *telling) end(c Cause, by Rule) {
	t.tellStart()
	t.life.Ended, t.life.Ran = true, true
	t.base.Cause = c
	t.tell(c.kind(), by)
}

func (t *telling) tell(k Kind, by Rule) {
	fact := t.base
	fact.Kind, fact.Rule, fact.Invocation, fact.Life = k, by, t.life.Invocation, t.told()
	if fact.Recovered {
		fact.Source = Journal
	}
	if k == Restarted || k == Seen || k == CaughtUp {
		fact.Cause = Cause{}
	}
	t.facts = append(t.facts, fact)
}

// told is what is known of the unit now, as it is told.
func (t *telling) told() *Life {
	if t.present != nil {
		return t.present.with(t.life)
	}
	if n := len(t.facts); n > 0 && *t.facts[n-1].Life == t.life {
		return t.facts[n-1].Life
	}
	life := t.life
	return &life
}

// down reports whether the unit is not running, starting or stopping. From 257
// on, sub states such as auto-restart-queued say that it is between two runs while
// the active state is activating. In maintenance, systemctl clean removes files of
// a unit that is inactive; it still has the invocation of its last run.
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
