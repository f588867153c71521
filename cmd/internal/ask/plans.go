package ask

import (
	"time"

	"service-monitor/cmd/internal/tell"
	plans "service-monitor/stages/bus/plan"
)

const (
	// mostAsked is about how many units systemd is asked: about as many as a screen shows.
	mostAsked = 20
	// plansIn is how long systemd may take to answer.
	plansIn = 300 * time.Millisecond
)

// A Planner asks systemd what it does next. An answer about a unit holds until the unit changes, so
// that whoever watches a storm does not ask about all others again and again.
type Planner map[string]answer

type answer struct {
	state unitState
	plan  plans.Plan
}

// A unitState is different after each change of a unit.
type unitState struct {
	active, sub      string
	changed          time.Time
	starts, restarts uint64
}

func stateOf(u *tell.Unit) unitState {
	return unitState{u.State, u.Life.SubState, u.Changed, u.Tally.Starts, u.Restarts}
}

// Add adds what systemd does next to the first units that need attention.
func (p Planner) Add(s *tell.Status) {
	s.ToAsk, s.Asked = 0, 0
	var units []*tell.Unit
	for _, u := range s.Ordered() {
		if !u.Asks(s.AsOf) {
			continue
		}
		if s.ToAsk++; len(units) < mostAsked {
			units = append(units, u)
		}
	}
	s.Asked = len(units)
	p.addTo(units)
}

// addTo adds what systemd does next to these units.
func (p Planner) addTo(units []*tell.Unit) {
	var ask []string
	for _, u := range units {
		if known, ok := p[u.Unit]; !ok || known.state != stateOf(u) {
			delete(p, u.Unit)
			ask = append(ask, u.Unit)
		}
	}
	told := plans.Ask(plansIn, ask)
	for _, u := range units {
		if is, ok := told[u.Unit]; ok {
			p[u.Unit] = answer{stateOf(u), is}
		}
		if known, ok := p[u.Unit]; ok {
			u.Plan = &known.plan
		}
	}
}
