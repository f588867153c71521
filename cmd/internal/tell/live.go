package tell

import (
	"encoding/json"
	"io"
)

// A liveMonitor is the monitor itself as JSON, for those who follow it.
type liveMonitor struct {
	statusMonitor
	Connected bool `json:"connected"` // the running monitor tells all this itself
}

// WriteLive writes the status as WriteJSON does, with the number of the last record that it includes.
func (s *Status) WriteLive(w io.Writer, connected bool, seq uint64) error {
	out := struct {
		Monitor liveMonitor  `json:"monitor"`
		Units   []statusUnit `json:"units"`
		Seq     uint64       `json:"seq"`
	}{liveMonitor{s.monitorJSON(), connected}, []statusUnit{}, seq}
	for _, u := range s.Units {
		out.Units = append(out.Units, s.unitJSON(u, s.Availability(u)))
	}
	return json.NewEncoder(w).Encode(out)
}

// WriteMonitor writes what WriteLive says of the monitor itself.
func (s *Status) WriteMonitor(w io.Writer, connected bool) error {
	return json.NewEncoder(w).Encode(liveMonitor{s.monitorJSON(), connected})
}

// WriteUnit writes a unit as WriteJSON does.
func (s *Status) WriteUnit(w io.Writer, u *Unit) error {
	return json.NewEncoder(w).Encode(s.unitJSON(u, s.Availability(u)))
}

// UnitHealth returns how a unit is, or how it was when the monitor ended.
func (s *Status) UnitHealth(u *Unit) Health { return s.health(u) }
