package classify

import (
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// cause is how a run ended that was in a state before.
func cause(u decode.Update, from string) Cause {
	c := Cause{u.Result, u.MainCode, u.MainStatus}
	switch {
	case u.Ending && from == "deactivating" && c.Result == success:
		c.Result = records.Shutdown
	case overwritten(u):
		return Cause{Result: Unknown}
	}
	return c
}

// overwritten reports whether the result is not that of the run. A refused start
// replaces the result success, but no other (service_enter_dead() of systemd). A
// run that lacked resources itself has the same result as one whose restart failed,
// but a change shows it as it ends, and a snapshot may be of later.
func overwritten(u decode.Update) bool {
	if u.Kind != decode.Snapshot {
		return u.Result == StartLimitHit
	}
	return u.Result == StartLimitHit || reset(u) || cleaned(u) || u.Result == resources && u.MainCode != 0
}

// cleaned reports whether systemctl clean, or the wait before a restart, may have come after
// the run. A clean that fails leaves the state failed and its own result. So does a restart
// that fails, with the result of the run: systemd forgets that there was a clean when it is
// reloaded. Before a clean that does not fail, and in a wait, the unit may have failed and
// was reset.
func cleaned(u decode.Update) bool {
	switch {
	case !u.Reentered || u.Result == StartLimitHit:
		return false
	case u.ActiveState == "failed":
		return u.CleanFailed || u.Cleanable && u.MainCode != 0 && u.LoadState == "loaded"
	}
	return u.Result == success && (u.ActiveState == "inactive" || u.ActiveState == maintenance)
}

// reset reports whether a unit may have failed, and was reset: reset-failed makes the result
// success. It enters the state inactive then, but it has become inactive before.
func reset(u decode.Update) bool {
	return u.ActiveState == "inactive" && u.Result == success && u.Left != 0 && u.Left != u.Entered
}

// finish ends a run as the state shows it, which may not show how it ended.
func (t *telling) finish(c Cause, by Rule) {
	was := t.base.AtLeast
	t.base.AtLeast = was || c.Result == Unknown
	t.end(c, by)
	t.base.AtLeast = was
}
