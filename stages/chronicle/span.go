package chronicle

import (
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
)

// A Span is the phase in which a unit is, and when that phase began. Clock is that time in µs of
// CLOCK_MONOTONIC, in the boot Boot. At is that time by the wall clock. A time that is not known is
// zero.
type Span struct {
	count.Phase // NoPhase if it was stopped, or if nobody knows
	Boot        string
	Clock       uint64
	At          time.Time

	owed time.Duration // how long the unit was down before somebody released it, for the next record
}

// until returns how long after the beginning of a span another one began; 0 if that is not known.
func (s Span) until(end Span) time.Duration {
	switch {
	case s.Clock > 0 && s.Boot == end.Boot && end.Clock >= s.Clock:
		return time.Duration(end.Clock-s.Clock) * time.Microsecond
	case s.At.IsZero() || end.At.IsZero():
		return 0
	}
	return max(0, end.At.Sub(s.At))
}

// release returns the span after somebody has stopped or reset a unit that was down. There is no record
// of that, so the next start gets the time.
func (s Span) release(r *store.Record) Span { return Span{owed: s.until(at(r))} }

// at returns a span that begins with a record.
func at(r *store.Record) Span {
	now := Span{Boot: r.Boot, Clock: r.Monotonic, At: r.Time}
	if r.Flags&store.Untrusted != 0 {
		now.At = time.Time{}
	}
	return now
}

// next returns the span that begins with a record. It puts into the record how long the span before
// was.
func (s Span) next(r *store.Record) Span {
	now := at(r)
	switch {
	case r.Kind == store.Start:
		if now.Phase = count.Up; s.Phase == count.Down {
			r.Down = s.until(now)
		} else {
			r.Down = s.owed
		}
	case r.Kind == store.Stop, r.Kind == store.Crash:
		if s.Phase == count.Up {
			r.Up = s.until(now)
		}
		if r.Kind == store.Crash {
			now.Phase = count.Down
		}
	case r.Kind == store.UnknownEnd, r.Flags&store.Missed != 0:
	default:
		return s
	}
	return now
}

// running returns the span of a run that goes on; the zero Span if there is none.
func running(l *classify.Life) Span {
	if !l.Running() {
		return Span{}
	}
	s := Span{Phase: count.Up, Clock: l.Begun, Boot: l.Cursor.Boot()}
	if s.Boot == "" {
		s.Boot = records.Boot()
	}
	return s
}

// SpanOf returns the span of a unit, by its tally in the state file.
func SpanOf(t *count.Tally) Span {
	s := running(t.Life)
	if c := t.LastCrash; s.Phase != count.Up && t.State != "inactive" && c != nil && t.Life != nil && t.Life.Ended && t.Life.Invocation.String() == c.Invocation {
		s = Span{Phase: count.Down, Boot: c.Boot, Clock: c.Clock}
		if !c.Untrusted {
			s.At = c.Time
		}
	}
	if s.Phase == count.Up && !t.ChangedUntrusted {
		s.At = t.Changed
	}
	return s
}
