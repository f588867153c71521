package topics

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
)

// A Unit is how a unit is. It has what service-monitor status --json says of the unit, without what changes
// only because time passes. So two of them are equal as long as nothing has happened.
type Unit struct {
	Unit      string      `json:"unit"`
	Health    tell.Health `json:"health"`
	Attention bool        `json:"needs_attention"`
	Words     string      `json:"health_text"`
	Active    string      `json:"active_state"`
	Sub       string      `json:"sub_state,omitempty"`
	Since     time.Time   `json:"since,omitzero"`
	Starts    uint64      `json:"starts"`
	Stops     uint64      `json:"stops"`
	Crashes   uint64      `json:"crashes"`
	Unknown   uint64      `json:"unknown"`
	Restarts  uint64      `json:"restarts"`
	AtLeast   bool        `json:"at_least"`
	LastCrash *LastCrash  `json:"last_crash,omitempty"`
	Retrying  bool        `json:"retrying"`
	GaveUp    bool        `json:"gave_up"`
	Because   string      `json:"gave_up_because,omitempty"` // a result of systemd, or a load state
}

// A LastCrash is the last crash of a unit.
type LastCrash struct {
	Time       time.Time `json:"time"`
	Result     string    `json:"result"`
	Code       *int32    `json:"code,omitempty"`
	Signal     *int32    `json:"signal,omitempty"`
	Text       string    `json:"status_text"`
	Invocation string    `json:"invocation,omitempty"`
}

// ParseUnit returns a unit of status --json. Keys that a Unit does not have are ignored.
func ParseUnit(statusJSON []byte) (Unit, error) {
	var u Unit
	if err := json.Unmarshal(statusJSON, &u); err != nil {
		return Unit{}, fmt.Errorf("cannot read the status of a unit: %w", err)
	}
	if u.Unit == "" {
		return Unit{}, errors.New("cannot read the status of a unit: it has no name")
	}
	return u, nil
}

// A Monitor is how the monitor itself is.
type Monitor struct {
	Running bool      `json:"running"`
	Stopped time.Time `json:"stopped,omitzero"`
	Blind   bool      `json:"blind,omitempty"` // it has no connection to systemd
	// Behind is true if the counts may be lower than what was told before, see service-monitor(8), JSON.
	Behind bool `json:"behind,omitempty"`
	// Troubles are missing if the monitor does not run.
	Troubles []string `json:"troubles,omitzero"`
}

// ParseMonitor returns the monitor of status --json. Keys that a Monitor does not have are ignored.
func ParseMonitor(statusJSON []byte) (Monitor, error) {
	var m Monitor
	if err := json.Unmarshal(statusJSON, &m); err != nil {
		return Monitor{}, fmt.Errorf("cannot read the status of the monitor: %w", err)
	}
	return m, nil
}

// Well reports whether the monitor sees everything that happens.
func (m *Monitor) Well() bool { return m.Running && !m.Blind && len(m.Troubles) == 0 }

// Lost is what was never published: the history had no room for it any more when the broker was there again.
type Lost struct {
	Events  uint64
	Units   int
	AtLeast bool // it may be more
}

// Options are what a scheme needs to know.
type Options struct {
	Gateway         string // see CheckGateway
	Compact         bool   // short topics and keys, for links that are paid by the megabyte; not for thin-edge
	DiscoveryPrefix string // of Home Assistant
	Version         string // of this program
}

// A Scheme makes messages of what is known.
type Scheme interface {
	// Online is the birth of the gateway, and how its monitor is. It is published again whenever that changes.
	Online(m Monitor, now time.Time) []Message
	// Offline is the last will. The broker publishes it some time after a connection that began at since.
	Offline(since time.Time) Message
	// Stopped says that this program has ended. It replaces what Online said, as Offline does.
	Stopped(now time.Time) Message
	// Clear clears all that Online and Offline retained.
	Clear() []Message
	// LeftOut reports whether nothing is to be published of a unit, because it does that itself.
	LeftOut(unit string) bool
	// Announce makes a unit known to the consumers. It comes before its first state.
	Announce(unit string) []Message
	// State says how a unit is.
	State(u *Unit) []Message
	// Gone clears all that Announce and State retained of a unit.
	Gone(unit string) []Message
	// Event tells an event of the history. One without a unit is of the monitor itself.
	Event(e *tell.Event) []Message
	// Crash tells what a run wrote before it crashed.
	Crash(b *blackbox.Box) []Message
	// Lost says that events are missing.
	Lost(l Lost, now time.Time) []Message
	// Births returns the topic on which a consumer says "online" when it has come and wants all again; empty if
	// there is no such topic.
	Births() string
}
