package tell

import (
	"fmt"
	"strings"
	"time"

	"service-monitor/stages/bus/plan"
	"service-monitor/stages/classify"
)

// autoRestart is how the sub states begin in which a unit waits for its restart. From 254 on there is
// auto-restart-queued, too.
const autoRestart = "auto-restart"

// Retrying reports whether the unit waits for systemd to restart it.
func (u *Unit) Retrying() bool {
	return u.Life != nil && strings.HasPrefix(u.Life.SubState, autoRestart) && !u.Life.GivenUp
}

// Asks reports whether systemd should be asked what it does next with the unit.
func (u *Unit) Asks(now time.Time) bool {
	h := u.Health(now)
	return h != NotLoaded && h.Attention() || u.Retrying()
}

// current returns the plan of the unit if it fits to the state that the monitor knows.
func (u *Unit) current() *plan.Plan {
	if u.Plan == nil || u.Plan.Active != u.State {
		return nil
	}
	return u.Plan
}

// isQueued reports whether a unit that is down is to be started as soon as its job has its turn.
func isQueued(p *plan.Plan) bool {
	return p != nil && p.Queued && (p.Active == "failed" || p.Active == "inactive")
}

// waitsForEver reports whether the unit waits for a restart that never comes (RestartSec=infinity).
func (u *Unit) waitsForEver() bool {
	p := u.current()
	return u.Retrying() && p != nil && p.Sub == autoRestart && !p.Queued && p.Delay == plan.Forever
}

const aboutToStart = "systemd is about to start it: its job waits for its turn"

// nextTry returns when systemd starts a unit again that waits for its restart; zero if that is not
// known. systemd may be up to 250 ms late.
func (s *Status) nextTry(p *plan.Plan) time.Time {
	if p == nil || p.Sub != autoRestart || p.Queued || p.Entered == 0 || p.Delay == plan.Forever {
		return time.Time{}
	}
	return s.Now.Add(micros(p.Entered) - micros(s.Clock.Since) + p.Delay)
}

// at returns the time of something that is still to happen, as text.
func (s *Status) at(t time.Time, zone *time.Location) string {
	switch t = t.In(zone); {
	case !t.After(s.Now):
		return "now"
	case t.Sub(s.Now) >= day:
		return t.Format("2006-01-02 15:04")
	}
	return t.Format(time.TimeOnly)
}

// starters says who may start a unit that is down.
func starters(p *plan.Plan) string {
	if p == nil || len(p.TriggeredBy) == 0 {
		return "somebody starts it"
	}
	return strings.Join(p.TriggeredBy, ", ") + " or somebody starts it"
}

// refusal says why systemd gave up; empty if the history does not have it.
func (u *Unit) refusal() string {
	switch u.gaveUp {
	case classify.StartLimitHit:
		if p := u.current(); p != nil && p.Limited() {
			return fmt.Sprintf("start limit hit (%s)", limit(p))
		}
		return "start limit hit"
	case classify.NotFound:
		return "its unit file is gone"
	case classify.BadSetting:
		return "its unit file has a bad setting"
	case classify.Masked:
		return "it is masked"
	case "":
		return ""
	}
	return "its restart failed"
}

// limit returns a start limit in words.
func limit(p *plan.Plan) string { return fmt.Sprintf("%d in %s", p.Burst, Span(p.Interval)) }

// usedOf returns how much of a start limit is used, in words.
func usedOf(used int64, p *plan.Plan) string {
	return fmt.Sprintf("%d of %d starts in %s", used, p.Burst, Span(p.Interval))
}

// tail says what systemd does next with a unit, in a few words.
func (s *Status) tail(u *Unit, h Health, zone *time.Location) string {
	p := u.current()
	switch {
	case isQueued(p):
		return aboutToStart
	case h == GaveUp && u.refusal() != "":
		return u.refusal() + ": down until " + starters(p)
	case h == GaveUp:
		return "systemd gave up: down until " + starters(p)
	case u.waitsForEver():
		return "RestartSec=infinity: it waits for ever"
	case h == Failed && p != nil:
		return "Restart=" + p.Restart + ": down until " + starters(p)
	case h == Failed:
		return "down until " + starters(p)
	}
	var words []string
	switch try := s.nextTry(p); {
	case u.Retrying() && !try.IsZero():
		words = append(words, "next try "+s.at(try, zone))
	case u.Retrying():
		words = append(words, "systemd restarts it")
	}
	if used := s.used(u); p != nil && (u.Retrying() || h == CrashLoop) && nearLimit(used, p) {
		words = append(words, usedOf(used, p))
	}
	return strings.Join(words, "; ")
}

// next says what systemd does next with a unit, in sentences; empty if nobody knows.
func (s *Status) next(u *Unit, zone *time.Location) string {
	p, state, sub := u.Plan, u.State, ""
	switch {
	case p != nil:
		state, sub = p.Active, p.Sub
	case u.Life != nil:
		sub = u.Life.SubState
	}
	switch h := s.health(u); {
	case h == NotLoaded:
		return ""
	case isQueued(p):
		return aboutToStart
	case h == GaveUp && state == u.State:
		return "nothing: " + s.tail(u, h, zone)
	case strings.HasPrefix(sub, autoRestart):
		return s.again(u, zone)
	case state == "failed" && p != nil && p.Restart == "no":
		return "nothing: Restart=no, so it is down until " + starters(p)
	case state == "failed" && p != nil:
		return fmt.Sprintf("nothing: Restart=%s does not cover how it ended, so it is down until %s", p.Restart, starters(p))
	case state == "failed", state == "inactive":
		return "nothing: it is down until " + starters(p)
	case state == "active" && sub != "exited" && p != nil:
		return s.upon(u)
	}
	return ""
}

// again says what systemd does next with a unit that waits for its restart.
func (s *Status) again(u *Unit, zone *time.Location) string {
	p := u.Plan
	try := s.nextTry(p)
	switch {
	case p == nil:
		return "systemd starts it again"
	case p.Sub == autoRestart && !p.Queued && p.Delay == plan.Forever:
		return "nothing: it waits for ever (RestartSec=infinity)"
	case try.IsZero():
		return "systemd starts it again as soon as what it waits for is done. " + s.limits(u)
	}
	return fmt.Sprintf("systemd starts it again: next try %s, %s after it ended (RestartSec=). %s", s.at(try, zone), Span(p.Delay), s.limits(u))
}

// upon says what systemd does if a unit crashes that is up.
func (s *Status) upon(u *Unit) string {
	switch p := u.Plan; {
	case p.Restart == "no", p.Restart == "on-success":
		return fmt.Sprintf("if it crashes, it stays down (Restart=%s)", p.Restart)
	case p.Pause == plan.Forever:
		return "if it crashes, it waits for ever (RestartSec=infinity)"
	case p.Restart == "always", p.Restart == "on-failure":
		return fmt.Sprintf("if it crashes, systemd starts it again after %s (Restart=%s). %s", Span(p.Delay), p.Restart, s.limits(u))
	case p.Restart == "":
		return ""
	}
	return fmt.Sprintf("systemd starts it again after some crashes (Restart=%s)", u.Plan.Restart)
}

// limits says whether systemd will give up.
func (s *Status) limits(u *Unit) string {
	p := u.Plan
	used := s.used(u)
	switch {
	case !p.Limited():
		return "No start limit: it never gives up"
	case endless(p):
		return fmt.Sprintf("Its start limit (%s) allows that for ever: it does not give up", limit(p))
	case nearLimit(used, p):
		return "Start limit near: " + usedOf(used, p) + ", then it gives up"
	case used > 0:
		return "Start limit: " + usedOf(used, p) + ", then it gives up"
	}
	return fmt.Sprintf("It gives up at more than %d starts in %s", p.Burst, Span(p.Interval))
}
