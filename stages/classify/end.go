package classify

import (
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// cause returns how a run ended. from is the active state in which the unit was before.
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

// overwritten reports whether the result may belong to something else than the run. A refused
// start replaces the result success, and no other (service_enter_dead() of systemd). The result
// resources has two causes: the run lacked resources, or a restart failed. systemd sends a change
// as the run ends, so the result in it belongs to the run. A snapshot may be taken later, so its
// result may belong to either.
func overwritten(u decode.Update) bool {
	if u.Kind != decode.Snapshot {
		return u.Result == StartLimitHit
	}
	return u.Result == StartLimitHit || reset(u) || cleaned(u) || u.Result == resources && u.MainCode != 0
}

// cleaned reports whether systemctl clean, or the wait before a restart, may have come after
// the run. A failed clean leaves the unit failed, with the result of the clean. A failed restart
// also leaves it failed, but with the result of the run. After a daemon-reload systemd has
// forgotten the clean, so we cannot distinguish the two. A unit that is inactive or in maintenance
// may have failed first: somebody may have reset it before the clean or during the wait.
func cleaned(u decode.Update) bool {
	switch {
	case !u.LeftInactive || u.Result == StartLimitHit:
		return false
	case u.ActiveState == "failed":
		return u.CleanFailed || u.Cleanable && u.MainCode != 0 && u.LoadState == "loaded"
	}
	return u.Result == success && (u.ActiveState == "inactive" || u.ActiveState == maintenance)
}

// reset reports whether the unit may have failed and been reset. reset-failed sets the result to
// success, and the unit goes from failed to inactive. That is a new state, so Entered is new. But
// InactiveEnter stays, because for systemd a failed unit was inactive already.
func reset(u decode.Update) bool {
	return u.ActiveState == "inactive" && u.Result == success && u.InactiveEnter != 0 && u.InactiveEnter != u.Entered
}

// finish ends a run as the state shows it. The state does not always show how the run ended.
func (d *deduction) finish(c Cause, by Rule) {
	before := d.base.AtLeast
	d.base.AtLeast = before || c.Result == Unknown // for this end alone
	d.end(c, by)
	d.base.AtLeast = before
}
