package classify

import (
	"strings"

	"service-monitor/stages/decode"
)

// Why systemd gave up, the result of GaveUp: StartLimitHit and resources are results
// of systemd, the others are values of LoadState. With resources, systemd could not
// restart the unit, and only the journal tells why.
const (
	StartLimitHit = "start-limit-hit"
	NotFound      = "not-found"
	BadSetting    = "bad-setting"
	Masked        = "masked"
	resources     = "resources"
)

// retry notes whether systemd is to restart the unit after the known invocation.
// On 257 the sub state auto-restart-queued also has the invocation that is about to
// begin, which has not ended.
func (t *telling) retry(u decode.Update) {
	l := &t.life
	switch {
	case u.ActiveState == maintenance:
		l.Retrying = false // somebody stopped it while it waited; now the clean may fail
	case u.Invocation == l.Invocation && l.Ended && retrying(&u.Properties):
		l.Retrying = true
	}
}

// giveUp tells when systemd will not restart a unit that was to be restarted: it has
// failed for good, with the invocation that had ended before, or the job of the restart
// is over. A stop during the wait leaves it inactive.
func (t *telling) giveUp(u decode.Update) {
	l := &t.life
	over, why, by := t.jobOver(u), "", GivenUpState
	switch {
	case !l.Ended || l.GivenUp || u.Kind == decode.Snapshot && u.ActiveState == "failed" && cleaned(u):
	case u.ActiveState == "failed" && u.SubState == "failed" && (l.Retrying || u.Result == StartLimitHit):
		why = t.refusal(u)
	case over:
		why, by = reason(u), RestartJob
	}
	if why != "" {
		l.GivenUp = true
		t.base.Cause = Cause{why, u.MainCode, u.MainStatus}
		t.tell(GaveUp, by)
	}
}

// jobOver follows the job of a scheduled restart, and reports whether it is over and
// has begun no run: what the unit needs has failed, for example. systemd then leaves
// it inactive (247, 252) or in auto-restart-queued for ever (257). A stop has another
// job, which a snapshot of later does not show.
func (t *telling) jobOver(u decode.Update) bool {
	l := &t.life
	was := l.Job
	switch {
	case !l.Retrying || u.Invocation != l.Invocation:
		l.Job = 0
	case was != 0 && u.Job == 0:
		l.Job = 0
		return u.Kind != decode.Snapshot || retrying(&u.Properties)
	case t.scheduled || u.Kind == decode.Snapshot && retrying(&u.Properties) && !strings.HasPrefix(t.sub, autoRestart):
		l.Job = u.Job
	case u.Job != was:
		l.Job = 0
	}
	return false
}

// refusal is why systemd gave up. Where the restart could not be scheduled, the unit
// fails from auto-restart. The start limit refuses a restart that is scheduled: the
// unit was in auto-restart-queued before (257) or inactive (252). A snapshot does not
// show that, but there NRestarts counts the scheduled restart.
func (t *telling) refusal(u decode.Update) string {
	failed := t.sub == autoRestart
	if u.Kind == decode.Snapshot {
		failed = t.life.Scheduled == 0
	}
	if u.Result == StartLimitHit || !failed {
		return StartLimitHit
	}
	return reason(u)
}

// reason is why a restart failed, as far as the load state shows it.
func reason(u decode.Update) string {
	switch u.LoadState {
	case NotFound, BadSetting, Masked:
		return u.LoadState
	}
	return resources
}
