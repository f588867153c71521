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
	return writeLive(w, s, connected, seq, func(u statusUnit) statusUnit { return u })
}

// A pageUnit is the part of a statusUnit that a list of units shows. needs_attention and at_least are missing
// if they are false.
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

// WritePage writes the part of WriteLive that a list of units shows. It is half as long. A browser reads all of it
// before the page can be used.
func (s *Status) WritePage(w io.Writer, connected bool, seq uint64) error {
	return writeLive(w, s, connected, seq, func(u statusUnit) pageUnit {
		p := pageUnit{u.Unit, u.Health, u.Attention, u.Mark, u.Words, u.Summary, u.For, u.Crashes, u.AtLeast, u.Day, u.Available, nil}
		if u.LastCrash != nil {
			p.LastCrash = &pageCrash{u.LastCrash.Ago}
		}
		return p
	})
}

func writeLive[T any](w io.Writer, s *Status, connected bool, seq uint64, part func(statusUnit) T) error {
	out := struct {
		Monitor liveMonitor `json:"monitor"`
		Units   []T         `json:"units"`
		Seq     uint64      `json:"seq"`
	}{liveMonitor{s.monitorJSON(), connected}, []T{}, seq}
	for _, u := range s.Units {
		out.Units = append(out.Units, part(s.unitJSON(u, s.Availability(u))))
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
