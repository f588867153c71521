package tell

import (
	"fmt"
	"strings"
	"time"

	"service-monitor/stages/chronicle/store"
)

// headline says how the unit is, in a sentence.
func (y *Why) headline(zone *time.Location) string {
	u := y.Unit
	switch y.Status.health(u) {
	case CrashLoop:
		return fmt.Sprintf("%s crashed %d times since %s and goes on crashing", u.Unit, u.Loop, y.Status.clock(u.LoopSince, zone))
	case GaveUp:
		if !u.Life.Retrying { // a start by hand or by a timer, for example
			return u.Unit + " is down: " + y.ended() + ", and systemd refused to start it again"
		}
		return u.Unit + " is down: " + y.ended() + ", and systemd gave up restarting it"
	case Failed:
		if isQueued(u.current()) {
			return u.Unit + " is down: " + y.ended() + ", and systemd is about to start it"
		}
		return u.Unit + " is down: " + y.ended() + ", and systemd does not restart it"
	case NotLoaded:
		return u.Unit + " is not there: systemd has no such unit"
	case Unknown:
		return u.Unit + " was not seen yet"
	case Stopped:
		return u.Unit + y.stopped()
	case ExitedOK:
		return u.Unit + " has done what it is for: its last run ended well"
	case Running:
		switch {
		case u.Crashes > 0:
			return u.Unit + " runs; it has crashed before"
		case u.AtLeast:
			return u.Unit + " runs, and no crash of it is known"
		}
		return u.Unit + " runs, and has never crashed since it is watched"
	}
	if u.Retrying() {
		return u.Unit + " is down for a moment: " + y.ended() + ", and systemd is going to restart it"
	}
	return fmt.Sprintf("%s is %s", u.Unit, u.State)
}

// ended says how the last run ended. It is for a unit that is down.
func (y *Why) ended() string {
	switch {
	case y.Unit.well:
		return "its last run ended well"
	case y.Unit.LastCrash == nil && len(y.crashes) == 0:
		return "it failed while nobody watched"
	}
	return "it crashed"
}

// stopped says why the unit is down. It is for a unit that is down without having failed.
func (y *Why) stopped() string {
	u := y.Unit
	switch {
	case u.well:
		return " is down, and that is no crash: its last run ended well"
	case y.end == store.Crash:
		return " is down: it crashed, and was reset or stopped since"
	case y.stop != nil && y.end == store.Stop:
		return " is down, and that is no crash"
	case u.Starts == 0 && y.firstRunning() == 0:
		return " is down, and has not run since it is watched"
	}
	return " is down; nobody knows how its last run ended"
}

// lastEnd returns of which kind the last end is that a record has. A record of several does not tell which of them
// was the last.
func lastEnd(r *store.Record) store.Kind {
	switch d := r.Delta; {
	case r.Kind != store.Many:
		return r.Kind
	case d.Crashes > 0 && r.Flags&store.Untold == 0:
		return store.Crash
	case d.Unknown > 0 || r.Flags&store.Untold != 0:
		return store.UnknownEnd
	}
	return store.Stop
}

// state says in which state the unit is, and for how long.
func (y *Why) state() string {
	u := y.Unit
	state := u.State
	if u.Life != nil && u.Life.SubState != "" && u.Life.SubState != state {
		state += " (" + u.Life.SubState + ")"
	}
	if state == "" {
		return "not known yet"
	}
	if since := y.Status.inState(u); since != "–" {
		state += ", for " + since
	}
	return state
}

// firstRunning returns 1 if the unit ran when it was first seen. The feed does not tell that, but the
// sum that the counts keep does.
func (y *Why) firstRunning() int64 {
	u := y.Unit
	n := int64(u.Stops) + int64(u.Crashes) + int64(u.Tally.Unknown) - int64(u.Starts)
	if u.Life.Running() {
		n++
	}
	return n
}

// counts returns the counts in words.
func (y *Why) counts() string {
	u := y.Unit
	text := strings.Join([]string{
		plural(int64(u.Starts), "start"), plural(int64(u.Stops), "stop"), plural(int64(u.Crashes), "crash"),
		plural(int64(u.Tally.Unknown), "unknown end"), plural(int64(u.Restarts), "restart"),
	}, ", ")
	if u.AtLeast {
		text += ", at least: something happened that nobody saw"
	}
	if y.firstRunning() == 1 {
		text += "; it ran when it was first seen"
	}
	return text
}
