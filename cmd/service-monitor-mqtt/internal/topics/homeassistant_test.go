package topics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
)

// A key is one that Home Assistant documents, by its full name.
type key struct {
	kind     string // string, integer, boolean, list, "string or list", or a name in documented
	required bool
}

// documented are the keys of discovery messages (home-assistant.io/integrations/mqtt, sensor.mqtt and
// binary_sensor.mqtt, as of 2024.11 and later). The keys of an entity are those which both platforms have.
var documented = map[string]map[string]key{
	"discovery": {
		"device": {"device", true}, "origin": {"origin", true}, "components": {"components", true},
		"state_topic": {"topic", false}, "command_topic": {"topic", false}, "qos": {"integer", false}, "encoding": {"string", false},
		"availability_topic": {"topic", false}, "availability_template": {"template", false}, "availability_mode": {"string", false},
		"payload_available": {"string", false}, "payload_not_available": {"string", false},
	},
	"device": {
		"identifiers": {"string or list", true}, // or connections, which we do not have
		"name":        {"string", false}, "manufacturer": {"string", false}, "model": {"string", false}, "model_id": {"string", false}, "hw_version": {"string", false},
		"sw_version": {"string", false}, "serial_number": {"string", false}, "suggested_area": {"string", false}, "via_device": {"string", false}, "configuration_url": {"string", false},
	},
	"origin": {"name": {"string", true}, "sw_version": {"string", false}, "support_url": {"string", false}},
	"entity": {
		"platform": {"string", true}, "unique_id": {"string", true}, "name": {"string", false}, "device_class": {"string", false}, "entity_category": {"string", false},
		"enabled_by_default": {"boolean", false}, "encoding": {"string", false}, "entity_picture": {"string", false}, "expire_after": {"integer", false}, "force_update": {"boolean", false},
		"icon": {"string", false}, "json_attributes_topic": {"topic", false}, "json_attributes_template": {"template", false}, "qos": {"integer", false},
		"state_topic":    {"topic", false}, // in the root
		"value_template": {"template", false},
	},
	"sensor": {
		"state_class": {"string", false}, "options": {"list", false}, "unit_of_measurement": {"string", false}, "last_reset_value_template": {"template", false},
		"suggested_display_precision": {"integer", false},
	},
	"binary_sensor": {"payload_on": {"string", false}, "payload_off": {"string", false}, "off_delay": {"integer", false}},
}

// abbreviations are those of the documented ones that we use, by what they stand in.
var abbreviations = map[string]map[string]string{
	"discovery": {"dev": "device", "o": "origin", "cmps": "components", "stat_t": "state_topic", "avty_t": "availability_topic", "avty_tpl": "availability_template", "qos": "qos"},
	"device":    {"ids": "identifiers", "name": "name", "mf": "manufacturer", "mdl": "model", "sw": "sw_version"},
	"origin":    {"name": "name", "sw": "sw_version"},
	"entity": {
		"p": "platform", "name": "name", "uniq_id": "unique_id", "dev_cla": "device_class", "stat_cla": "state_class", "ops": "options", "ent_cat": "entity_category",
		"val_tpl": "value_template", "json_attr_t": "json_attributes_topic", "json_attr_tpl": "json_attributes_template",
	},
}

// values are those that a key may have, of all that are documented those that fit a service.
var values = map[string][]any{
	"binary_sensor device_class": {"problem", "running", "connectivity"},
	"sensor device_class":        {"enum", "timestamp", "duration"},
	"sensor state_class":         {"measurement", "total", "total_increasing"},
	"sensor entity_category":     {"diagnostic"},
}

// A validator collects what is wrong with a discovery message.
type validator struct{ wrong []string }

func (v *validator) must(ok bool, what string) {
	if !ok {
		v.wrong = append(v.wrong, what)
	}
}

// object checks an object against the tables, and returns it with full names.
func (v *validator) object(what string, value any, tables ...string) map[string]any {
	full := map[string]any{}
	object, ok := value.(map[string]any)
	v.must(ok, what+" is no object")
	for short, value := range object {
		name := abbreviations[tables[0]][short]
		v.must(name != "", what+" has the unknown key "+short)
		full[name] = value
	}
	for name, value := range full {
		found := false
		for _, table := range tables {
			k, ok := documented[table][name]
			if found = found || ok; ok {
				v.must(v.is(k.kind, value), what+": "+name+" is no "+k.kind)
			}
		}
		v.must(found, what+": "+name+" is not documented")
	}
	for _, table := range tables {
		for name, k := range documented[table] {
			_, there := full[name]
			v.must(there || !k.required, what+" has no "+name)
		}
	}
	return full
}

func (v *validator) is(kind string, value any) (ok bool) {
	switch kind {
	case "integer":
		n, number := value.(float64)
		return number && n == float64(int(n))
	case "boolean":
		_, ok = value.(bool)
	case "list":
		list, is := value.([]any)
		ok = is && len(list) > 0
	case "string or list":
		_, text := value.(string)
		ok = text || v.is("list", value)
	case "topic":
		text, is := value.(string)
		ok = is && text != "" && !strings.ContainsAny(text, "+#\x00")
	case "template":
		text, is := value.(string)
		ok = is && strings.HasPrefix(text, "{{ ") && strings.HasSuffix(text, " }}")
	case "device", "origin", "components":
		_, ok = value.(map[string]any)
	default:
		text, is := value.(string)
		ok = is && text != ""
	}
	return ok
}

// entity checks an entity with what Home Assistant says of its keys together.
func (v *validator) entity(name string, value any) (id string) {
	object, _ := value.(map[string]any)
	platform, _ := object["p"].(string)
	v.must(documented[platform] != nil && (platform == "sensor" || platform == "binary_sensor"), name+" is a "+platform)
	full := v.object(name, value, "entity", platform)
	for key, value := range full {
		if allowed := values[platform+" "+key]; allowed != nil {
			v.must(slices.Contains(allowed, value), name+" has a wrong "+key)
		}
	}
	if _, options := full["options"]; options || full["device_class"] == "enum" {
		v.must(options && full["device_class"] == "enum" && full["state_class"] == nil && full["unit_of_measurement"] == nil, name+": options go with the device class enum alone")
	}
	id, _ = full["unique_id"].(string)
	v.must(inID.MatchString(id), name+" has the ID "+id)
	return id
}

var (
	inID      = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	discovers = regexp.MustCompile(`^homeassistant/device/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/config$`)
)

// check checks a discovery message, and returns the IDs in it.
func check(m Message) (ids, wrong []string) {
	var v validator
	var value any
	v.must(m.Retain && discovers.MatchString(m.Topic), "topic")
	v.must(json.Unmarshal(m.Payload, &value) == nil, "no JSON")
	root := v.object("discovery", value, "discovery")
	v.object("device", root["device"], "device")
	v.object("origin", root["origin"], "origin")
	v.must(root["state_topic"] != nil, "no state_topic") // required by both platforms, and none has its own
	components, _ := root["components"].(map[string]any)
	v.must(len(components) > 0, "no components")
	for name, c := range components {
		v.must(inID.MatchString(name), "component "+name)
		ids = append(ids, v.entity(name, c))
	}
	return ids, v.wrong
}

func TestHomeAssistantKeys(t *testing.T) {
	for _, compact := range []bool{false, true} {
		owner := map[string]string{}
		s := must(t, HomeAssistant, compact)
		for _, m := range append(everything(s, hostile...), s.Announce("mosquitto.service")...) {
			if !strings.HasPrefix(m.Topic, "homeassistant/") || len(m.Payload) == 0 {
				continue
			}
			ids, wrong := check(m)
			for _, what := range wrong {
				t.Errorf("%s: %s", m.Topic, what)
			}
			for _, id := range ids {
				if other := owner[id]; other != "" && other != m.Topic {
					t.Errorf("%s and %s have the ID %s", other, m.Topic, id)
				}
				owner[id] = m.Topic
			}
		}
		if want := 1 + 7*(len(hostile)+1); len(owner) != want {
			t.Errorf("%d entities, want %d", len(owner), want)
		}
	}
}

// The tables find what they are for.
func TestHomeAssistantTables(t *testing.T) {
	good := must(t, HomeAssistant, false).Announce("mosquitto.service")[0]
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown key", `"stat_t"`, `"stat_topic"`, "unknown key stat_topic"},
		{"no device", `"dev":`, `"dev2":`, "discovery has no device"},
		{"no origin", `"o":`, `"o2":`, "discovery has no origin"},
		{"no name of the origin", `"o":{"name":`, `"o":{"sw":`, "origin has no name"},
		{"no platform", `"p":"binary_sensor",`, ``, "problem is a "},
		{"another platform", `"p":"binary_sensor"`, `"p":"switch"`, "problem is a switch"},
		{"a key of another platform", `"dev_cla":"problem"`, `"dev_cla":"problem","ops":["a"]`, "options is not documented"},
		{"no ID", `"uniq_id":"service-monitor_gw-17__mosquitto__health",`, ``, "health has no unique_id"},
		{"a class", `"enum"`, `"problem"`, "wrong device_class"},
		{"another class", `"total_increasing"`, `"increasing"`, "wrong state_class"},
		{"a type", `"qos":1`, `"qos":"1"`, "qos is no integer"},
		{"options with a state class", `"dev_cla":"enum"`, `"dev_cla":"enum","stat_cla":"total"`, "options go with"},
	} {
		m := good
		m.Payload = []byte(strings.Replace(string(good.Payload), tt.old, tt.new, 1))
		if _, wrong := check(m); !strings.Contains(strings.Join(wrong, "; "), tt.want) {
			t.Errorf("%s: %q", tt.name, wrong)
		}
	}
}

func TestHomeAssistant(t *testing.T) {
	s := must(t, HomeAssistant, false)
	const device = `{"dev":{"ids":["service-monitor_gw-17"],"name":"gw-17","mf":"service-monitor","mdl":"gateway","sw":"1.2"},"o":{"name":"service-monitor-mqtt","sw":"1.2"},`
	const available = `"avty_t":"service-monitor/gw-17/status","avty_tpl":"{{ value_json.status }}","qos":1,"cmps":{`
	counter := func(key, name, category string) string {
		return `"` + key + `":{"p":"sensor","name":"mosquitto ` + name + `","uniq_id":"service-monitor_gw-17__mosquitto__` + key + `","stat_cla":"total_increasing",` + category + `"val_tpl":"{{ value_json.` + key + ` | default(0) }}"}`
	}
	const diagnostic = `"ent_cat":"diagnostic",`
	expect(t, "announce", s.Announce("mosquitto.service"), "homeassistant/device/gw-17/mosquitto/config (retained)\n"+device+`"stat_t":"service-monitor/gw-17/mosquitto.service/state",`+available+
		counter("crashes", "crashes", "")+
		`,"health":{"p":"sensor","name":"mosquitto health","uniq_id":"service-monitor_gw-17__mosquitto__health","dev_cla":"enum",`+
		`"ops":["gave-up","crash-loop","failed","not-loaded","unknown","starting","stopped","exited-ok","running"],"val_tpl":"{{ value_json.health | default('unknown') }}"}`+
		`,"problem":{"p":"binary_sensor","name":"mosquitto problem","uniq_id":"service-monitor_gw-17__mosquitto__problem","dev_cla":"problem",`+
		`"val_tpl":"{{ 'ON' if value_json.needs_attention | default(false) else 'OFF' }}","json_attr_t":"service-monitor/gw-17/mosquitto.service/state",`+
		`"json_attr_tpl":"{{ value_json.last_crash | default({}) | tojson }}"},`+
		counter("restarts", "restarts", diagnostic)+","+counter("starts", "starts", diagnostic)+","+counter("stops", "stops", diagnostic)+","+counter("unknown", "unknown ends", diagnostic)+`}}`)
	expect(t, "online", s.Online(Monitor{Running: true}, noon), text(must(t, Plain, false).Online(Monitor{Running: true}, noon)[0]),
		"homeassistant/device/gw-17/__monitor/config (retained)\n"+device+`"stat_t":"service-monitor/gw-17/status",`+available+
			`"problem":{"p":"binary_sensor","name":"service-monitor","uniq_id":"service-monitor_gw-17____monitor__problem","dev_cla":"problem",`+
			`"val_tpl":"{{ 'ON' if value_json.status == 'online' and (not value_json.watching | default(false) or (value_json.monitor | default({})).troubles | default([])) else 'OFF' }}"}}}`)
	expect(t, "gone", s.Gone(`a\x2db.service`), `homeassistant/device/gw-17/a_5cx2db/config (retained)`+"\n", `service-monitor/gw-17/a\x2db.service/state (retained)`+"\n")
	expect(t, "clear", s.Clear(), "homeassistant/device/gw-17/__monitor/config (retained)\n", "service-monitor/gw-17/status (retained)\n")
	expect(t, "state", s.State(looping()), text(must(t, Plain, false).State(looping())[0]))
	if s.Births() != "homeassistant/status" {
		t.Error(s.Births())
	}
}

// Home Assistant ignores a health that is not among the options.
func TestHealths(t *testing.T) {
	source, err := os.ReadFile("../../../internal/tell/status.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []tell.Health
	for _, match := range regexp.MustCompile(`(?m)^\t\w+ +Health = "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		all = append(all, tell.Health(match[1]))
	}
	if diff := cmp.Diff(all, healths); diff != "" || len(all) == 0 {
		t.Errorf("(-tell +options):\n%s", diff)
	}
}
