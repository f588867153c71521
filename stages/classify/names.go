package classify

import "service-monitor/stages/decode"

// alias returns the unit's own name, where that is another one.
func alias(u decode.Update) string {
	if u.Name == u.Unit {
		return ""
	}
	return u.Name
}

// renamed reports whether the alias by which a unit is monitored names another unit now.
// Then that one is seen for the first time.
func (t *telling) renamed(u decode.Update) bool {
	if u.Name == "" || alias(u) == t.life.Name {
		return false
	}
	u.Kind, u.New = decode.Snapshot, false
	t.see(u)
	return true
}

// pattern notes up to where the units are known that a glob names.
func (t *telling) pattern(u decode.Update) {
	t.life = Life{Pattern: true, ActiveState: decode.NotLoaded, SubState: "dead", Ended: true, Cursor: u.Cursor}
	t.base.To, t.base.SubState = t.life.ActiveState, t.life.SubState
	t.tell(CaughtUp, NoRule)
}

// unload folds a unit that is over, and returns what is left of its life. As long as
// something is still to be told of it, that is all.
func (t *telling) unload(u decode.Update) Life {
	l := t.life
	if !l.Known() || l.Running() || l.StartOwed || len(l.open()) > 0 {
		return l
	}
	t.base.Glob, t.base.Recovered, t.base.To, t.base.SubState = u.Glob, u.Recovered, l.ActiveState, l.SubState
	t.tell(Folded, NoRule)
	return Life{}
}
