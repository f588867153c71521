package topics

import (
	"fmt"
	"strings"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
)

// A textEvent is an event as thin-edge wants it: "text" and "time", and what else there is.
type textEvent struct {
	Words string `json:"text"`
	*tell.Event
}

// A textBox is a black box as an event.
type textBox struct {
	Words string `json:"text"`
	box
}

// eventText says in a line what an event tells. People read it in the list of a cloud.
func eventText(e *tell.Event) string {
	words := []string{strings.ReplaceAll(e.Kind, "-", " ")}
	if e.Count > 1 {
		words = append(words, fmt.Sprintf("×%d", e.Count))
	}
	switch {
	case e.Text != "":
		words = append(words, "("+e.Text+")")
	case e.To != "":
		words = append(words, "("+e.To+")")
	}
	if e.Unit == "" {
		return strings.Join(words, " ")
	}
	return e.Unit + ": " + strings.Join(words, " ")
}

func boxText(b *blackbox.Box) string {
	return b.Unit + ": last words before it crashed (" + tell.Cause(b.Result, b.Code, b.Status) + ")"
}

// An alarm is what somebody has to look after. It has no other keys, so that a mapper can send it in its shortest form.
type alarm struct {
	Severity string    `json:"severity"` // critical, major, minor or warning
	Text     string    `json:"text"`
	Time     time.Time `json:"time,omitzero"`
}

// unitAlarm returns the alarm of a unit that needs attention.
func unitAlarm(u *Unit) alarm {
	a := alarm{severity(u.Health), u.Unit + ": " + u.Words, u.Since}
	switch {
	case u.LastCrash == nil || u.Health == tell.NotLoaded:
	case u.LastCrash.Text != "":
		a.Text += " (" + u.LastCrash.Text + ")"
	}
	return a
}

// severity returns how bad a health is. What is down and stays down is the worst.
func severity(h tell.Health) string {
	switch h {
	case tell.GaveUp, tell.Failed:
		return "critical"
	case tell.CrashLoop:
		return "major"
	}
	return "minor"
}

// alarmOf returns the alarm of a monitor that is not well.
func alarmOf(m *Monitor, now time.Time) alarm {
	switch {
	case !m.Running && !m.Stopped.IsZero():
		return alarm{"major", "the monitor has stopped; nobody counts", m.Stopped}
	case !m.Running:
		return alarm{"major", "the monitor does not run; nobody counts", now}
	case len(m.Troubles) > 0:
		return alarm{"minor", strings.Join(m.Troubles, "; "), now}
	}
	return alarm{"minor", "the monitor has no connection to systemd", now}
}
