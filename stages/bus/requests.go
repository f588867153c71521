package bus

import (
	"fmt"

	"service-monitor/stages/bus/link"
)

// ask sends a request and remembers what it asked.
func (s *Stage) ask(r request, destination, path, iface string, args ...any) error {
	serial, err := s.link.Call(destination, path, iface, r.member, args...)
	if err != nil {
		return fmt.Errorf("cannot call %s: %w", r.member, err)
	}
	s.requests[serial] = r
	return nil
}

func (s *Stage) askBus(member, arg string) error {
	return s.ask(request{member: member, bus: true}, link.BusName, link.BusPath, link.BusName, arg)
}

// asking reports whether the reply to a method has not come yet.
func (s *Stage) asking(member string) bool {
	for _, r := range s.requests {
		if r.member == member {
			return true
		}
	}
	return false
}

// await queues a unit for its snapshot. Until that has come, its changes are not sent.
func (s *Stage) await(unit string) {
	u := s.note(unit)
	u.asked, u.present = true, false
	s.queue = append(s.queue, unit)
}

// Methods of PID 1. Two of them list the units that match a glob.
const (
	getAll        = "GetAll"
	pingCall      = "Ping"
	listUnits     = "ListUnitsByPatterns"
	listUnitFiles = "ListUnitFilesByPatterns"
)

// synced reports whether the state of every unit was sent.
func (s *Stage) synced() bool {
	return s.link != nil && s.subscribed && len(s.requests) == 0 && len(s.queue) == 0
}
