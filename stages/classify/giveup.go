package classify

import (
	"strings"

	"service-monitor/stages/decode"
)

// These are the results of GaveUp: why systemd does not restart the unit. StartLimitHit and
// resources are results of systemd, the others are values of LoadState. With resources, systemd
// could not restart the unit, and only the journal says why.
const (
	StartLimitHit = "start-limit-hit"
	NotFound      = "not-found"
	BadSetting    = "bad-setting"
	Masked        = "masked"
	resources     = "resources"
)

// retry notes whether systemd is going to restart the unit after the known invocation. On 257, a
// unit in auto-restart-queued may already show the invocation that is about to begin, which has
// not ended.
func (d *deduction) retry(u decode.Update) {
	l := &d.life
	switch {
	case u.ActiveState == maintenance:
		l.Retrying = false // somebody stopped the unit while it waited, and the clean may fail
	case u.Invocation == l.Invocation && l.Ended && retrying(&u.Properties):
		l.Retrying = true
	}
}

// giveUp adds that systemd will not restart a unit after all. Either the unit has failed for
// good after its run had ended, or the job of the restart is over. If somebody stops the unit
// while it waits, it becomes inactive, and that is no giving up.
func (d *deduction) giveUp(u decode.Update) {
	l := &d.life
	over, why, by := d.jobOver(u), "", GivenUpState
	switch {
	case !l.Ended || l.GivenUp || u.Kind == decode.Snapshot && u.ActiveState == "failed" && cleaned(u):
	case u.ActiveState == "failed" && u.SubState == "failed" && (l.Retrying || u.Result == StartLimitHit):
		why = d.refusal(u)
	case over:
		why, by = reason(u), RestartJob
	}
	if why != "" {
		l.GivenUp = true
		d.base.Cause = Cause{why, u.MainCode, u.MainStatus}
		d.add(GaveUp, by)
	}
}

// jobOver follows the job of a scheduled restart. It reports whether the job is over without a
// new run: something that the unit needs has failed, for example. systemd then leaves the unit
// inactive (247, 252) or in auto-restart-queued for ever (257). A stop has a job of its own, but
// a later snapshot does not show it.
func (d *deduction) jobOver(u decode.Update) bool {
	l := &d.life
	was := l.Job
	switch {
	case !l.Retrying || u.Invocation != l.Invocation:
		l.Job = 0
	case was != 0 && u.Job == 0:
		l.Job = 0
		return u.Kind != decode.Snapshot || retrying(&u.Properties)
	case d.scheduled || u.Kind == decode.Snapshot && retrying(&u.Properties) && !strings.HasPrefix(d.sub, autoRestart):
		l.Job = u.Job
	case u.Job != was:
		l.Job = 0
	}
	return false
}

// refusal returns why systemd gave up. If systemd could not schedule the restart, the unit fails
// in auto-restart. The start limit refuses a restart that is scheduled already: before, the unit
// was in auto-restart-queued (257) or inactive (252). A snapshot does not show the state before,
// but its NRestarts counts the scheduled restart.
func (d *deduction) refusal(u decode.Update) string {
	failed := d.sub == autoRestart
	if u.Kind == decode.Snapshot {
		failed = d.life.Scheduled == 0
	}
	if u.Result == StartLimitHit || !failed {
		return StartLimitHit
	}
	return reason(u)
}

// reason returns why a restart failed, as far as the load state shows it.
func reason(u decode.Update) string {
	switch u.LoadState {
	case NotFound, BadSetting, Masked:
		return u.LoadState
	}
	return resources
}
