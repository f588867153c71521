package count

import (
	"fmt"
	"strings"
	"time"
)

// status returns how the services are, for people.
func (s *Stage) status(now Moment) string {
	if len(s.units) == 0 {
		return "" // the bus says why
	}
	watched, active := 0, 0
	last := new(Tally)
	for _, tally := range s.units {
		if tally.Life == nil || !tally.Life.Pattern {
			watched++
		}
		switch tally.State {
		case "active", "reloading", "refreshing": // refreshing is new in systemd 257
			active++
		}
		if last.LastCrash.before(tally.LastCrash, now.Boot) {
			last = tally
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "watching %d services, %d active", watched, active)
	if last.Crashes > 0 {
		b.WriteString(", last crash " + last.Unit)
		if age, ok := s.clock.age(last.LastCrash, now); ok {
			b.WriteString(" " + ago(age))
		}
	}
	return b.String()
}

// ago returns roughly how long ago something was. systemd gets the status again whenever its text
// changes.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}
