package bus

import (
	"errors"
	"fmt"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/bus/wire"
)

const (
	getProperty = "Get"
	// stateEntered is when a unit's state was entered, in µs since boot.
	stateEntered = "StateChangeTimestampMonotonic"
)

var errSilent = errors.New("systemd no longer announces what happens")

// beginAudit begins to audit the units of these signals. If more is true, it goes on to audit those
// from before.
func (s *Stage) beginAudit(signals []Signal, more bool) {
	if !more {
		for _, u := range s.units {
			u.unchanged = false
		}
	}
	for _, signal := range signals {
		u := s.note(signal.Unit)
		switch signal.Kind {
		case Snapshot, Missing:
			u.unchanged, u.entered = true, glimpse(signal).entered
		case Changed:
			u.unchanged = false
		}
	}
	s.audit.again()
}

// askEntered asks when a unit has entered its state.
func (s *Stage) askEntered(r request) error {
	return s.ask(r, link.Systemd, watch.Escape(r.unit), link.Properties, "org.freedesktop.systemd1.Unit", stateEntered)
}

// compareEntered compares a unit that announced nothing with the state in which it was.
func (s *Stage) compareEntered(r request, it link.Item) error {
	was := s.of(r.unit)
	body := wire.NewReader(it.Body, it.Order)
	sig := string(body.Variant())
	now := body.Uint64()
	switch {
	case it.Err != nil || sig != "t" || !body.Done() || !was.unchanged || now == was.entered:
		return nil
	case now == 0 || was.entered == 0:
		s.note(r.unit).entered = now // it was loaded or unloaded meanwhile; neither is a change
		return nil
	case !r.again:
		// The change may be on its way. If so, it comes before the next answer.
		r.again = true
		return s.askEntered(r)
	}
	return fmt.Errorf("%w: %s has changed", errSilent, r.unit)
}
