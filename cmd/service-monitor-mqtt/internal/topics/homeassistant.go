package topics

import (
	"time"

	"service-monitor/cmd/internal/tell"
)

// homeAssistant has the topics of plain, and tells Home Assistant of them (home-assistant.io/integrations/mqtt,
// MQTT discovery): a device for the gateway, and several entities for each unit.
//
// A discovery message has all entities of one unit, in the form for devices, and all name the same device. So
// a unit goes when its one message is cleared, and nobody has to know which others there are. A message of the
// whole gateway would have to be sent again for each unit, and would be too large for some. A message of
// each entity would repeat the device and the topics seven times. The form is understood since 2024.11.
type homeAssistant struct{ plain }

// discoverySlashes is how many slashes a discovery topic has after its prefix.
const discoverySlashes = 4

// config returns the topic of a discovery message.
func (h homeAssistant) config(object string) string {
	return topic(h.DiscoveryPrefix, "device", id(h.Gateway), object, "config")
}

// itsMonitor is the object of the monitor itself. No unit has that one: see objectOf.
const itsMonitor = "__monitor"

func (h homeAssistant) Online(m Monitor, now time.Time) []Message {
	problem := component{
		Platform: "binary_sensor", Name: "service-monitor", Class: "problem",
		Value: choice("value_json."+h.key("status")+" == '"+online+"' and ("+h.troubled()+")", "ON", "OFF"),
	}
	d := h.discovery(itsMonitor, h.of("", h.names.status), map[string]component{"problem": problem})
	return append(h.plain.Online(m, now), kept(h.config(itsMonitor), payload(d)))
}

// troubled is a condition: the monitor does not see everything. If it does not run, short payloads may have no key
// for it at all. Without a default that would be an error.
func (h homeAssistant) troubled() string {
	troubles := "(" + h.value("monitor", "{}") + ")." + h.key("troubles")
	return "not " + h.value("watching", "false") + " or " + orElse(troubles, "[]")
}

func (h homeAssistant) Clear() []Message {
	return append(cleared(h.config(itsMonitor)), h.plain.Clear()...)
}

func (h homeAssistant) Announce(unit string) []Message {
	d := h.discovery(objectOf(unit), h.of(unit, h.names.state), h.entities(unit))
	return []Message{kept(h.config(objectOf(unit)), payload(d))}
}

// entities returns what Home Assistant shows of a unit.
func (h homeAssistant) entities(unit string) map[string]component {
	name, _ := short(unit)
	name = cut(name, longestName).(string)
	all := map[string]component{
		"problem": {
			Platform: "binary_sensor", Name: name + " problem", Class: "problem", Value: choice(h.value("needs_attention", "false"), "ON", "OFF"),
			Attributes: h.of(unit, h.names.state), AttributesOf: "{{ " + h.value("last_crash", "{}") + " | tojson }}",
		},
		"health": {Platform: "sensor", Name: name + " health", Class: "enum", Options: healths, Value: "{{ " + h.value("health", "'unknown'") + " }}"},
	}
	for _, c := range []struct{ key, name, category string }{
		{"crashes", " crashes", ""}, {"starts", " starts", diagnostic}, {"stops", " stops", diagnostic},
		{"restarts", " restarts", diagnostic}, {"unknown", " unknown ends", diagnostic},
	} {
		all[c.key] = component{Platform: "sensor", Name: name + c.name, StateClass: "total_increasing", Category: c.category, Value: "{{ " + h.value(c.key, "0") + " }}"}
	}
	return all
}

// healths are all that a unit can have.
var healths = []tell.Health{
	tell.GaveUp, tell.CrashLoop, tell.Failed, tell.NotLoaded, tell.Unknown, tell.Starting, tell.Stopped, tell.ExitedOK, tell.Running,
}

// Gone clears the discovery first. Home Assistant could not read an empty state.
func (h homeAssistant) Gone(unit string) []Message {
	return append(cleared(h.config(objectOf(unit))), h.plain.Gone(unit)...)
}

// Births returns the topic on which Home Assistant says "online" (its birth message).
func (h homeAssistant) Births() string { return topic(h.DiscoveryPrefix, "status") }
