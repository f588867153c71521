package topics

import (
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
)

// plain is the scheme of this program's own topics. It has long and short names.
type plain struct {
	Options
	names names
}

// names are the levels of topics, and how a payload is written.
type names struct {
	root, status, state, event, crash string

	as func(any) any
}

var (
	longNames  = names{"service-monitor", "status", "state", "event", "crash", func(v any) any { return v }}
	shortNames = names{"sm", "s", "s", "e", "c", compact}
)

func newPlain(o Options) plain {
	if o.Compact {
		return plain{o, shortNames}
	}
	return plain{o, longNames}
}

// A status is whether a gateway is online.
type status struct {
	Status  string    `json:"status"` // online or offline
	Time    time.Time `json:"time,omitzero"`
	Since   time.Time `json:"online_since,omitzero"` // when the connection began that the broker has lost
	Version string    `json:"version,omitempty"`
	// Watching is whether the monitor runs and has a connection to systemd. Nobody knows if it is offline.
	Watching *bool    `json:"watching,omitempty"`
	Monitor  *Monitor `json:"monitor,omitempty"`
}

const (
	online  = "online"
	offline = "offline"
)

// of returns a topic of a unit, or one of the gateway if unit is empty.
func (p plain) of(unit, leaf string) string {
	if unit == "" {
		return topic(p.names.root, p.Gateway, leaf)
	}
	return topic(p.names.root, p.Gateway, level(unit), leaf)
}

func (p plain) payload(v any) []byte { return payload(p.names.as(v)) }

func (p plain) status(s status) Message { return kept(p.of("", p.names.status), p.payload(s)) }

func (p plain) Online(m Monitor, now time.Time) []Message {
	return []Message{p.status(status{Status: online, Time: now, Version: p.Version, Watching: new(m.Running && !m.Blind), Monitor: &m})}
}

func (p plain) Offline(since time.Time) Message {
	return p.status(status{Status: offline, Since: since})
}

func (p plain) Stopped(now time.Time) Message { return p.status(status{Status: offline, Time: now}) }

func (p plain) Clear() []Message { return cleared(p.of("", p.names.status)) }

func (p plain) LeftOut(string) bool { return false }

func (p plain) Announce(string) []Message { return nil }

func (p plain) State(u *Unit) []Message {
	return []Message{kept(p.of(u.Unit, p.names.state), p.payload(u))}
}

func (p plain) Gone(unit string) []Message { return cleared(p.of(unit, p.names.state)) }

func (p plain) Event(e *tell.Event) []Message {
	return []Message{told(p.of(e.Unit, p.names.event), p.payload(e))}
}

func (p plain) Crash(b *blackbox.Box) []Message {
	return []Message{told(p.of(b.Unit, p.names.crash), fitted(b, func(b box) any { return p.names.as(b) }))}
}

func (p plain) Lost(l Lost, now time.Time) []Message {
	return []Message{told(p.of("", p.names.event), p.payload(lostOf(l, now)))}
}

func (p plain) Births() string { return "" }
