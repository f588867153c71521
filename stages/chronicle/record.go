package chronicle

import (
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

// record returns a record of an event.
func (s *Stage) record(e *count.Event, k store.Kind) store.Record {
	r := store.Record{
		Kind: k, Flags: flags(e), Time: zone.Local(e.Time), Monotonic: e.Clock, Unit: e.Unit,
		From: e.From, To: e.To, SubState: e.SubState, Result: e.Cause.Result, Code: e.Cause.Code, Status: e.Cause.Status, Invocation: e.Invocation,
	}
	if e.Rule != classify.NoRule {
		r.Rule = e.Rule.String()
	}
	if r.Monotonic > 0 {
		r.Boot = s.boot
	}
	return r
}

func flags(e *count.Event) (f store.Flags) {
	for _, is := range []struct {
		so   bool
		flag store.Flags
	}{{e.Recovered, store.Recovered}, {e.AtLeast, store.AtLeast}, {e.Untrusted, store.Untrusted}, {e.Missed, store.Missed}} {
		if is.so {
			f |= is.flag
		}
	}
	return f
}

func kindOf(k classify.Kind) store.Kind {
	switch k {
	case classify.Started:
		return store.Start
	case classify.Stopped:
		return store.Stop
	case classify.Crashed:
		return store.Crash
	case classify.UnknownEnd:
		return store.UnknownEnd
	case classify.Restarted:
		return store.Restart
	}
	return store.None
}

// Counts returns the counts of a tally.
func Counts(t *count.Tally) store.Counts {
	return store.Counts{Starts: int64(t.Starts), Stops: int64(t.Stops), Crashes: int64(t.Crashes), Unknown: int64(t.Unknown), Restarts: int64(t.Restarts)}
}
