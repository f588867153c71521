package topics

import "service-monitor/cmd/internal/tell"

// A discovery is what Home Assistant has to know of a device. The keys are its abbreviations.
type discovery struct {
	Device       device               `json:"dev"`
	Origin       origin               `json:"o"`
	State        string               `json:"stat_t"`
	Availability string               `json:"avty_t"`
	Available    string               `json:"avty_tpl"`
	QoS          int                  `json:"qos"`
	Components   map[string]component `json:"cmps"`
}

type device struct {
	Identifiers  []string `json:"ids"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"mf"`
	Model        string   `json:"mdl"`
	Version      string   `json:"sw,omitempty"`
}

type origin struct {
	Name    string `json:"name"`
	Version string `json:"sw,omitempty"`
}

// A component is an entity.
type component struct {
	Platform     string        `json:"p"`
	Name         string        `json:"name"`
	ID           string        `json:"uniq_id"`
	Class        string        `json:"dev_cla,omitempty"`
	StateClass   string        `json:"stat_cla,omitempty"`
	Options      []tell.Health `json:"ops,omitempty"`
	Category     string        `json:"ent_cat,omitempty"`
	Value        string        `json:"val_tpl"`
	Attributes   string        `json:"json_attr_t,omitempty"`
	AttributesOf string        `json:"json_attr_tpl,omitempty"`
}

const (
	diagnostic = "diagnostic"
	// longestName is how many bytes of the name of a unit are shown. The ID that Home Assistant makes of it and
	// of the gateway may have 255.
	longestName = 100
)

// discovery returns a discovery message of a part of the gateway.
func (h homeAssistant) discovery(object, state string, entities map[string]component) discovery {
	gateway := "service-monitor_" + id(h.Gateway)
	for key, c := range entities {
		c.ID = gateway + "__" + object + "__" + key
		entities[key] = c
	}
	return discovery{
		Device: device{[]string{gateway}, h.Gateway, "service-monitor", "gateway", h.Version},
		Origin: origin{"service-monitor-mqtt", h.Version},
		State:  state, Availability: h.of("", h.names.status), Available: "{{ value_json." + h.key("status") + " }}",
		QoS: 1, Components: entities,
	}
}

// id returns a name in the characters that an ID may have. No two names have the same one.
func id(name string) string { return escaped(name, '_', "-") }

// objectOf returns the ID of a unit. A unit that is no service ends in a mark, as no escaped byte does.
func objectOf(unit string) string {
	name, service := short(unit)
	if service {
		return id(name)
	}
	return id(name) + "_"
}

// key returns a key as it is in the payloads.
func (h homeAssistant) key(long string) string {
	if h.Compact {
		return keyOf(long).short
	}
	return long
}

// value is what a template has of a state. Short payloads have no key for what is false, empty or zero.
func (h homeAssistant) value(key, otherwise string) string {
	return orElse("value_json."+h.key(key), otherwise)
}

func orElse(value, otherwise string) string { return value + " | default(" + otherwise + ")" }

// choice is a template with one of two values.
func choice(condition, yes, no string) string {
	return "{{ '" + yes + "' if " + condition + " else '" + no + "' }}"
}
