package classify

import "service-monitor/stages/decode"

// alias returns the unit's own name if the unit is monitored by another name.
func alias(u decode.Update) string {
	if u.Name == u.Unit {
		return ""
	}
	return u.Name
}

// renamed reports whether the alias by which a unit is monitored now names another unit. That
// unit is then seen for the first time.
func (d *deduction) renamed(u decode.Update) bool {
	if u.Name == "" || alias(u) == d.life.Name {
		return false
	}
	u.Kind, u.New = decode.Snapshot, false
	d.see(u)
	return true
}

// pattern notes the place in the journal up to which all units of a glob are counted.
func (d *deduction) pattern(u decode.Update) {
	d.life = Life{Pattern: true, ActiveState: decode.NotLoaded, SubState: "dead", Ended: true, Cursor: u.Cursor}
	d.base.To, d.base.SubState = d.life.ActiveState, d.life.SubState
	d.add(CaughtUp, NoRule)
}

// unload folds a unit that is over, and returns what is left of its life. A unit that runs or
// that has open gaps keeps its life.
func (d *deduction) unload(u decode.Update) Life {
	l := d.life
	if !l.Known() || l.Running() || l.StartOwed || len(l.open()) > 0 {
		return l
	}
	d.base.Glob, d.base.Recovered, d.base.To, d.base.SubState = u.Glob, u.Recovered, l.ActiveState, l.SubState
	d.add(Folded, NoRule)
	return Life{}
}
