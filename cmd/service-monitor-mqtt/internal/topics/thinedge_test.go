package topics

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"
	"time"

	"service-monitor/cmd/internal/tell"
)

const mosquitto = "te/device/main/service/mosquitto"

func TestThinEdge(t *testing.T) {
	s := must(t, ThinEdge, false)
	const own = "te/device/main/service/service-monitor"
	registered := own + " (retained)\n" + `{"@type":"service","@parent":"device/main//","name":"service-monitor","type":"systemd"}`
	for _, tt := range []struct {
		name string
		got  []Message
		want []string
	}{
		{"online", s.Online(Monitor{Running: true, Troubles: []string{}}, later), []string{
			registered, own + "/status/health (retained)\n" + `{"status":"up","time":1795777201.5}`, own + "/a/needs_attention (retained)\n"}},
		{"the monitor has stopped", s.Online(Monitor{Stopped: noon}, later), []string{
			registered, own + "/status/health (retained)\n" + `{"status":"down","time":1795777201.5}`,
			own + "/a/needs_attention (retained)\n" + `{"severity":"major","text":"the monitor has stopped; nobody counts","time":"2026-11-27T12:00:00+01:00"}`}},
		{"the monitor is blind", s.Online(Monitor{Running: true, Blind: true, Troubles: []string{"a", "b"}}, noon), []string{
			registered, own + "/status/health (retained)\n" + `{"status":"up","time":1795777200}`,
			own + "/a/needs_attention (retained)\n" + `{"severity":"minor","text":"a; b","time":"2026-11-27T12:00:00+01:00"}`}},
		{"last will", []Message{s.Offline(noon)}, []string{own + "/status/health (retained)\n" + `{"status":"down","online_since":1795777200}`}},
		{"stopped", []Message{s.Stopped(noon)}, []string{own + "/status/health (retained)\n" + `{"status":"down","time":1795777200}`}},
		{"clear", s.Clear(), []string{own + "/a/needs_attention (retained)\n", own + "/status/health (retained)\n", own + " (retained)\n"}},
		{"announce", s.Announce("mosquitto.service"), []string{
			mosquitto + " (retained)\n" + `{"@type":"service","@parent":"device/main//","name":"mosquitto","type":"systemd"}`}},
		{"in a loop", s.State(looping()), []string{
			mosquitto + "/status/health (retained)\n" + `{"status":"down","time":1795777201.5}`,
			mosquitto + "/a/needs_attention (retained)\n" + `{"severity":"major","text":"mosquitto.service: crash loop (SEGV, core dumped)","time":"2026-11-27T12:00:01.5+01:00"}`}},
		{"running", s.State(running()), []string{
			"te/device/main/service/wirepas-sink@ttyUSB1/status/health (retained)\n" + `{"status":"up","time":1795777200}`,
			"te/device/main/service/wirepas-sink@ttyUSB1/a/needs_attention (retained)\n"}},
		{"gone", s.Gone("mosquitto.service"), []string{
			mosquitto + "/a/needs_attention (retained)\n", mosquitto + "/status/health (retained)\n", mosquitto + " (retained)\n"}},
		{"event", s.Event(crash()), []string{mosquitto + "/e/crash\n" +
			`{"text":"mosquitto.service: crash (SEGV, core dumped)","seq":812,"time":"2026-11-27T12:00:01.5+01:00","boot_id":"0123456789abcdef0123456789abcdef","monotonic_usec":60000000,` +
			`"unit":"mosquitto.service","kind":"crash","from":"active","to":"activating","result":"core-dump","signal":11,"status_text":"SEGV, core dumped",` +
			`"invocation":"5b1f0000000000000000000000000007","rule":"down-after-run","count":1,"starts":5,"stops":0,"crashes":4,"unknown":0,"restarts":0}`}},
		{"several events", s.Event(&tell.Event{Seq: 2, Time: noon, Unit: "a.service", Kind: "unknown-end", Count: 3}), []string{"te/device/main/service/a/e/unknown-end\n" +
			`{"text":"a.service: unknown end ×3","seq":2,"time":"2026-11-27T12:00:00+01:00","unit":"a.service","kind":"unknown-end","count":3,"starts":0,"stops":0,"crashes":0,"unknown":0,"restarts":0}`}},
		{"event of no unit", s.Event(&tell.Event{Seq: 1, Time: noon, Kind: "monitor", To: "started", Count: 1}), []string{own + "/e/monitor\n" +
			`{"text":"monitor (started)","seq":1,"time":"2026-11-27T12:00:00+01:00","kind":"monitor","to":"started","count":1,"starts":0,"stops":0,"crashes":0,"unknown":0,"restarts":0}`}},
		{"crash", s.Crash(lastWords()), []string{mosquitto + "/e/black_box\n" +
			`{"text":"mosquitto.service: last words before it crashed (exit 3)","unit":"mosquitto.service","invocation":"5b1f0000000000000000000000000007",` +
			`"time":"2026-11-27T12:00:00+01:00","result":"exit-code","code":1,"status":3,"cpu_nsec":1000000000,` +
			`"lines":[{"time":"2026-11-27T12:00:00+01:00","from":"mosquitto[812]","text":"Error: \u003cno\u003e memory"}]}`}},
		{"lost", s.Lost(Lost{Events: 812, Units: 3}, noon), []string{own + "/e/lost\n" +
			`{"time":"2026-11-27T12:00:00+01:00","kind":"lost","text":"812 events of 3 units lost, counters are right","events":812,"units":3}`}},
	} {
		expect(t, tt.name, tt.got, tt.want...)
	}
}

func TestThinEdgeHealth(t *testing.T) {
	s := must(t, ThinEdge, false)
	for _, tt := range []struct {
		health           tell.Health
		status, severity string
	}{
		{tell.GaveUp, "down", "critical"}, {tell.CrashLoop, "down", "major"}, {tell.Failed, "down", "critical"}, {tell.NotLoaded, "down", "minor"},
		{tell.Unknown, "unknown", ""}, {tell.Starting, "down", ""}, {tell.Stopped, "down", ""}, {tell.ExitedOK, "up", ""}, {tell.Running, "up", ""},
	} {
		u := &Unit{Unit: "a.service", Health: tt.health, Attention: tt.health.Attention()}
		messages := s.State(u)
		var h healthStatus
		var a alarm
		if err := json.Unmarshal(messages[0].Payload, &h); err != nil || h.Status != tt.status || h.Time != "" {
			t.Errorf("%s: %s, %v", tt.health, messages[0].Payload, err)
		}
		if tt.severity == "" {
			if len(messages[1].Payload) > 0 {
				t.Errorf("%s: %s", tt.health, messages[1].Payload)
			}
			continue
		}
		if err := json.Unmarshal(messages[1].Payload, &a); err != nil || a.Severity != tt.severity {
			t.Errorf("%s: %s, %v", tt.health, messages[1].Payload, err)
		}
	}
}

func TestLeftOut(t *testing.T) {
	s := must(t, ThinEdge, false)
	for unit, want := range map[string]bool{
		"tedge-agent.service": true, "tedge-mapper-c8y.service": true, "tedge-mapper-c8y@second.service": true, "tedge-mapper-local.service": true, "tedge-watchdog.service": true,
		"tedge-container-plugin.service": true, "c8y-firmware-plugin.service": true, "c8y-log-plugin.service": true, "service-monitor.service": true,
		"tedge-p11-server.service": false, "tedge-cert-renewer@c8y.service": false, "c8y-remote-access-plugin@1.service": false, "mosquitto.service": false,
		"service-monitor-mqtt.service": false, "": false, "tedge-agent2.service": false,
	} {
		if s.LeftOut(unit) != want {
			t.Errorf("%q: %v", unit, !want)
		}
	}
}

// A form is one of thin-edge's documented messages (thin-edge.github.io: MQTT API, Health Monitoring, Data Model).
type form struct {
	topic  *regexp.Regexp
	retain bool
	empty  bool            // an empty message clears it
	keys   map[string]bool // and whether they are required; nil if there may be others
	also   map[string]bool
	check  func(m map[string]any) bool
}

const entity = `^te/device/main/service/[^/+#\x00]+`

var severities = []any{"critical", "major", "minor", "warning"}

var forms = []form{
	{regexp.MustCompile(entity + `$`), true, true, map[string]bool{"@type": true, "@parent": false, "@id": false, "@health": false, "name": false, "type": false}, nil,
		func(m map[string]any) bool { return m["@type"] == "service" && m["@parent"] == "device/main//" }},
	// A mapper takes no notice of other keys of a health: online_since is ours.
	{regexp.MustCompile(entity + `/status/health$`), true, true, map[string]bool{"status": true, "time": false, "pid": false, "online_since": false}, nil,
		func(m map[string]any) bool {
			return slices.Contains([]any{"up", "down", "unknown"}, m["status"]) && number(m["time"])
		}},
	{regexp.MustCompile(entity + `/a/[^/+#\x00]+$`), true, true, map[string]bool{"severity": true, "text": true, "time": false}, nil,
		func(m map[string]any) bool { return slices.Contains(severities, m["severity"]) && stamp(m["time"]) }},
	// Events have custom keys. A key "type" would replace the type in the topic.
	{regexp.MustCompile(entity + `/e/[^/+#\x00]+$`), false, false, nil, map[string]bool{"text": true, "time": true},
		func(m map[string]any) bool { return m["type"] == nil && m["text"] != "" && stamp(m["time"]) }},
}

func number(v any) bool {
	_, ok := v.(float64)
	return v == nil || ok
}

func stamp(v any) bool {
	text, _ := v.(string)
	_, err := time.Parse(time.RFC3339, text)
	return v == nil || err == nil
}

// follows reports whether a message has a documented form.
func follows(m Message) bool {
	for _, f := range forms {
		if !f.topic.MatchString(m.Topic) {
			continue
		}
		if len(m.Payload) == 0 {
			return f.empty && m.Retain
		}
		var payload map[string]any
		if json.Unmarshal(m.Payload, &payload) != nil || m.Retain != f.retain || !f.check(payload) {
			return false
		}
		for key := range payload {
			if _, known := f.keys[key]; f.keys != nil && !known {
				return false
			}
		}
		for _, keys := range []map[string]bool{f.keys, f.also} {
			for key, required := range keys {
				if _, there := payload[key]; required && !there {
					return false
				}
			}
		}
		return true
	}
	return false
}

func TestThinEdgeForms(t *testing.T) {
	for _, compact := range []bool{false, true} { // it has no short names
		for _, m := range everything(must(t, ThinEdge, compact), hostile...) {
			if !follows(m) {
				t.Errorf("no documented form: %s", text(m))
			}
		}
	}
	for _, wrong := range []Message{
		{Topic: "te/device/main/service/a", Payload: []byte(`{"@type":"service","@parent":"device/main//"}`)},
		{Topic: "te/device/main/service/a", Payload: []byte(`{"@type":"child-device"}`), Retain: true},
		{Topic: "te/device/main/service/a/status/health", Payload: []byte(`{"time":1}`), Retain: true},
		{Topic: "te/device/main/service/a/a/b", Payload: []byte(`{"severity":"high","text":"a"}`), Retain: true},
		{Topic: "te/device/main/service/a/e/b", Payload: []byte(`{"text":"a","time":"2026-11-27T12:00:00Z"}`), Retain: true},
		{Topic: "te/device/main/service/a/e/b", Payload: []byte(`{"text":"a","time":"12:00"}`)},
		{Topic: "te/device/main/service/a/m/b", Payload: []byte(`{}`)},
	} {
		if follows(wrong) {
			t.Errorf("the test takes %s", text(wrong))
		}
	}
}
