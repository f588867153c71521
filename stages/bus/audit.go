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
	// stateChange is when a unit's state was entered, in µs since boot.
	stateChange = "StateChangeTimestampMonotonic"
)

var errForgotten = errors.New("systemd no longer announces what happens")

// watchOver begins to audit the units of these signals: only these, or also these.
func (s *Stage) watchOver(signals []Signal, more bool) {
	if !more {
		for _, u := range s.units {
			u.still = false
		}
	}
	for _, signal := range signals {
		u := s.note(signal.Unit)
		switch signal.Kind {
		case Snapshot, Missing:
			u.still, u.entered = true, glimpse(signal).entered
		case Changed:
			u.still = false
		}
	}
	s.audit.again()
}

// look asks when a unit has entered its state.
func (s *Stage) look(r request) error {
	return s.ask(r, link.Systemd, watch.Escape(r.unit), link.Properties, "org.freedesktop.systemd1.Unit", stateChange)
}

// looked compares a unit that announced nothing with the state in which it was.
func (s *Stage) looked(r request, it link.Item) error {
	was := s.of(r.unit)
	body := wire.NewReader(it.Body, it.Order)
	sig := string(body.Variant())
	now := body.Uint64()
	switch {
	case it.Err != nil || sig != "t" || !body.Done() || !was.still || now == was.entered:
		return nil
	case now == 0 || was.entered == 0:
		s.note(r.unit).entered = now // it was loaded or unloaded meanwhile: neither is a change
		return nil
	case !r.again:
		// The change may be on its way. If so, it comes before the next answer.
		r.again = true
		return s.look(r)
	}
	return fmt.Errorf("%w: %s has changed", errForgotten, r.unit)
}
