package classify

import (
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// cause returns how a run ended, if the unit was in the state from before.
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

// overwritten reports whether the result is not that of the run. A start that is refused
// overwrites the result success, but no other (service_enter_dead() of systemd). The result
// resources is that of a run that lacked resources, or of a restart that failed. A change shows
// it as the run ends. A snapshot may be later, and then nobody knows.
func overwritten(u decode.Update) bool {
	if u.Kind != decode.Snapshot {
		return u.Result == StartLimitHit
	}
	return u.Result == StartLimitHit || reset(u) || cleaned(u) || u.Result == resources && u.MainCode != 0
}

// cleaned reports whether systemctl clean, or the wait before a restart, may have come after
// the run. If the clean fails, the unit is failed, with the result of the clean. A restart that
// fails leaves the same state, with the result of the run; after a daemon-reload the two cannot
// be told apart, because systemd has forgotten the clean. If the unit is inactive or in
// maintenance, it may have failed, and somebody reset it before the clean or during the wait.
func cleaned(u decode.Update) bool {
	switch {
	case !u.Reentered || u.Result == StartLimitHit:
		return false
	case u.ActiveState == "failed":
		return u.CleanFailed || u.Cleanable && u.MainCode != 0 && u.LoadState == "loaded"
	}
	return u.Result == success && (u.ActiveState == "inactive" || u.ActiveState == maintenance)
}

// reset reports whether the unit may have failed and was reset. reset-failed sets the result to
// success. The unit enters the state inactive then, but it became inactive before.
func reset(u decode.Update) bool {
	return u.ActiveState == "inactive" && u.Result == success && u.Left != 0 && u.Left != u.Entered
}

// finish ends a run as the state shows it. The state does not always show how the run ended.
func (d *deduction) finish(c Cause, by Rule) {
	was := d.base.AtLeast
	d.base.AtLeast = was || c.Result == Unknown
	d.end(c, by)
	d.base.AtLeast = was
}
