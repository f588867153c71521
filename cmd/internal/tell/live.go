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

// A pageUnit is what a list of units needs of a statusUnit. A key that is missing is false.
type pageUnit struct {
	Unit      string     `json:"unit"`
	Health    Health     `json:"health"`
	Attention bool       `json:"needs_attention,omitempty"`
	Mark      string     `json:"mark"`
	Words     string     `json:"health_text"`
	Summary   string     `json:"summary,omitempty"`
	For       *float64   `json:"for_seconds,omitempty"`
	Crashes   uint64     `json:"crashes"`
	AtLeast   bool       `json:"at_least,omitempty"`
	Day       *int64     `json:"crashes_24h,omitempty"`
	Available *float64   `json:"availability_24h,omitempty"`
	LastCrash *pageCrash `json:"last_crash,omitempty"`
}

type pageCrash struct {
	Ago *int64 `json:"ago_seconds,omitempty"`
}

// WritePage writes of WriteLive what a page with a list of units begins with. That is half as much, and a
// browser reads all of it before it shows anything.
func (s *Status) WritePage(w io.Writer, connected bool, seq uint64) error {
	out := struct {
		Monitor liveMonitor `json:"monitor"`
		Units   []pageUnit  `json:"units"`
		Seq     uint64      `json:"seq"`
	}{liveMonitor{s.monitorJSON(), connected}, []pageUnit{}, seq}
	for _, u := range s.Units {
		j := s.unitJSON(u, s.Availability(u))
		p := pageUnit{j.Unit, j.Health, j.Attention, j.Mark, j.Words, j.Summary, j.For, j.Crashes, j.AtLeast, j.Day, j.Available, nil}
		if j.LastCrash != nil {
			p.LastCrash = &pageCrash{j.LastCrash.Ago}
		}
		out.Units = append(out.Units, p)
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
