package topics

import (
	"encoding/json"
	"path"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
)

// thinEdge is the scheme of thin-edge.io (thin-edge.github.io, MQTT API): a topic begins with the entity that it
// is about, which is a service of the main device here. The gateway has no name in it.
type thinEdge struct{ Options }

// itself is the service that stands for this program and the monitor.
const itself = "service-monitor"

// selfReporting are services that publish their own health and register themselves. Two that write to the same
// topic would contradict each other. tedge-p11-server and tedge-cert-renewer do not publish anything.
var selfReporting = []string{
	itself, "tedge-agent", "tedge-mapper", "tedge-mapper-*", "tedge-watchdog", "tedge-container-plugin", "c8y-firmware-plugin",
	"c8y-configuration-plugin", "c8y-log-plugin", "tedge-configuration-plugin", "tedge-log-plugin", // of before 1.0
}

func (thinEdge) LeftOut(unit string) bool {
	name, _ := short(unit)
	for _, pattern := range selfReporting {
		if is, _ := path.Match(pattern, name); is { // the patterns are right
			return true
		}
	}
	return false
}

// serviceName returns a unit as the name of a service. Units of other types have a mark, so that a timer and
// the service foo.timer.service are two.
func serviceName(unit string) string {
	name, service := short(unit)
	if service {
		return level(name)
	}
	return level(name) + "%"
}

// of returns a topic of a service.
func (thinEdge) of(service string, channel ...string) string {
	return topic(append([]string{"te", "device", "main", "service", service}, channel...)...)
}

func (t thinEdge) health(service string) string { return t.of(service, "status", "health") }

// alarm is the topic of the one alarm that a service can have. An alarm of each health would have to be cleared
// with each state, and a mapper sends each of these on to its cloud.
func (t thinEdge) alarm(service string) string { return t.of(service, "a", "needs_attention") }

// A registration makes an entity known.
type registration struct {
	EntityType string `json:"@type"`
	Parent     string `json:"@parent"`
	Name       string `json:"name"`
	Type       string `json:"type"`
}

func (t thinEdge) register(service, name string) Message {
	return kept(t.of(service), payload(registration{"service", "device/main//", name, "systemd"}))
}

// A healthStatus is the health of a service. It has no pid, which nobody here knows.
type healthStatus struct {
	Status string      `json:"status"` // up, down, or any other word
	Time   json.Number `json:"time,omitempty"`
	Since  json.Number `json:"online_since,omitempty"` // not of thin-edge: see status
}

const (
	up      = "up"
	down    = "down"
	unknown = "unknown"
)

func (t thinEdge) Online(m Monitor, now time.Time) []Message {
	h := healthStatus{Status: up, Time: unix(now)}
	if !m.Running {
		h.Status = down
	}
	list := []Message{t.register(itself, itself), kept(t.health(itself), payload(h))}
	if m.Well() {
		return append(list, cleared(t.alarm(itself))...)
	}
	return append(list, kept(t.alarm(itself), payload(alarmOf(&m, now))))
}

func (t thinEdge) Offline(since time.Time) Message {
	return kept(t.health(itself), payload(healthStatus{Status: down, Since: unix(since)}))
}

func (t thinEdge) Stopped(now time.Time) Message {
	return kept(t.health(itself), payload(healthStatus{Status: down, Time: unix(now)}))
}

func (t thinEdge) Clear() []Message { return t.forget(itself) }

func (t thinEdge) Announce(unit string) []Message {
	name, _ := short(unit)
	return []Message{t.register(serviceName(unit), name)}
}

func (t thinEdge) State(u *Unit) []Message {
	service := serviceName(u.Unit)
	h := healthStatus{Status: healthOf(u.Health)}
	if !u.Since.IsZero() {
		h.Time = unix(u.Since)
	}
	list := []Message{kept(t.health(service), payload(h))}
	if !u.Attention {
		return append(list, cleared(t.alarm(service))...)
	}
	return append(list, kept(t.alarm(service), payload(unitAlarm(u))))
}

// healthOf returns a health in the words of thin-edge. A service that is on its way is not up yet.
func healthOf(h tell.Health) string {
	switch h {
	case tell.Running, tell.ExitedOK:
		return up
	case tell.Unknown:
		return unknown
	}
	return down
}

func (t thinEdge) Gone(unit string) []Message { return t.forget(serviceName(unit)) }

// forget clears the registration last. A mapper would register the service again at the sight of its health.
func (t thinEdge) forget(service string) []Message {
	return cleared(t.alarm(service), t.health(service), t.of(service))
}

// event returns the topic of an event. One without a unit is of the monitor.
func (t thinEdge) event(unit, kind string) string {
	service := itself
	if unit != "" {
		service = serviceName(unit)
	}
	return t.of(service, "e", level(kind))
}

func (t thinEdge) Event(e *tell.Event) []Message {
	return []Message{told(t.event(e.Unit, e.Kind), payload(textEvent{eventText(e), e}))}
}

func (t thinEdge) Crash(b *blackbox.Box) []Message {
	text := fitted(b, func(b box) any { return textBox{boxText(b.Box), b} })
	return []Message{told(t.event(b.Unit, "black_box"), text)}
}

func (t thinEdge) Lost(l Lost, now time.Time) []Message {
	return []Message{told(t.event("", kindLost), payload(lostOf(l, now)))}
}

func (t thinEdge) Births() string { return "" }
