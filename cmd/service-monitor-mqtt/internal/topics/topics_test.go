package topics

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/journald/records"
)

var (
	noon  = time.Date(2026, 11, 27, 12, 0, 0, 0, time.FixedZone("", 3600))
	later = noon.Add(1500 * time.Millisecond)
	segv  = int32(11)
)

func options(compact bool) Options {
	return Options{Gateway: "gw-17", Compact: compact, DiscoveryPrefix: "homeassistant", Version: "1.2"}
}

// looping is a unit with everything that a unit can have.
func looping() *Unit {
	return &Unit{
		Unit: "mosquitto.service", Health: tell.CrashLoop, Attention: true, Words: "crash loop", Active: "activating", Sub: "auto-restart", Since: later,
		Starts: 5, Stops: 1, Crashes: 4, Unknown: 0, Restarts: 4, AtLeast: true, Retrying: true, Because: "start-limit-hit",
		LastCrash: &LastCrash{Time: noon, Result: "core-dump", Signal: &segv, Text: "SEGV, core dumped", Invocation: "5b1f0000000000000000000000000007"},
	}
}

func running() *Unit {
	return &Unit{Unit: "wirepas-sink@ttyUSB1.service", Health: tell.Running, Words: "running", Active: "active", Sub: "running", Since: noon, Starts: 1}
}

func crash() *tell.Event {
	return &tell.Event{
		Seq: 812, Time: later, Boot: "0123456789abcdef0123456789abcdef", Monotonic: 60e6, Unit: "mosquitto.service", Kind: "crash", From: "active", To: "activating",
		Result: "core-dump", Signal: &segv, Text: "SEGV, core dumped", Invocation: "5b1f0000000000000000000000000007", Rule: "down-after-run",
		Count: 1, Starts: 5, Crashes: 4,
	}
}

func lastWords() *blackbox.Box {
	return &blackbox.Box{
		Unit: "mosquitto.service", Invocation: "5b1f0000000000000000000000000007", Time: noon, Result: "exit-code", Code: 1, Status: 3, CPU: time.Second,
		Lines: []records.Line{{Time: noon, From: "mosquitto[812]", Text: "Error: <no> memory"}},
	}
}

// must returns a scheme.
func must(t *testing.T, scheme string, compact bool) Scheme {
	t.Helper()
	s, err := New(scheme, options(compact))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// everything returns what a scheme makes of these. It is all that it can make.
func everything(s Scheme, units ...string) (list []Message) {
	blind := Monitor{Running: true, Blind: true, Troubles: []string{"it has no connection to systemd"}}
	list = append(list, s.Online(Monitor{Running: true, Troubles: []string{}}, noon)...)
	list = append(list, s.Online(blind, noon)...)
	list = append(list, s.Offline(noon), s.Stopped(later))
	list = append(list, s.Lost(Lost{Events: 812, Units: 3}, later)...)
	list = append(list, s.Event(&tell.Event{Seq: 1, Time: noon, Kind: "monitor", To: "started", Count: 1})...)
	for _, unit := range units {
		u, e, b := looping(), crash(), lastWords()
		u.Unit, e.Unit, b.Unit = unit, unit, unit
		for _, messages := range [][]Message{s.Announce(unit), s.State(u), s.Event(e), s.Crash(b), s.Gone(unit)} {
			list = append(list, messages...)
		}
	}
	return append(list, s.Clear()...)
}

// text returns a message in a line.
func text(m Message) string {
	retained := ""
	if m.Retain {
		retained = " (retained)"
	}
	return fmt.Sprintf("%s%s\n%s", m.Topic, retained, m.Payload)
}

func expect(t *testing.T, what string, messages []Message, want ...string) {
	t.Helper()
	var got []string
	for _, m := range messages {
		got = append(got, text(m))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestPlain(t *testing.T) {
	s := must(t, Plain, false)
	for _, tt := range []struct {
		name string
		got  []Message
		want []string
	}{
		{"online", s.Online(Monitor{Running: true, Troubles: []string{}}, noon), []string{
			"service-monitor/gw-17/status (retained)\n" + `{"status":"online","time":"2026-11-27T12:00:00+01:00","version":"1.2","watching":true,"monitor":{"running":true,"troubles":[]}}`}},
		{"the monitor has stopped", s.Online(Monitor{Stopped: noon}, later), []string{
			"service-monitor/gw-17/status (retained)\n" + `{"status":"online","time":"2026-11-27T12:00:01.5+01:00","version":"1.2","watching":false,"monitor":{"running":false,"stopped":"2026-11-27T12:00:00+01:00"}}`}},
		{"last will", []Message{s.Offline(noon)}, []string{"service-monitor/gw-17/status (retained)\n" + `{"status":"offline","online_since":"2026-11-27T12:00:00+01:00"}`}},
		{"stopped", []Message{s.Stopped(noon)}, []string{"service-monitor/gw-17/status (retained)\n" + `{"status":"offline","time":"2026-11-27T12:00:00+01:00"}`}},
		{"clear", s.Clear(), []string{"service-monitor/gw-17/status (retained)\n"}},
		{"announce", s.Announce("a.service"), nil},
		{"state", s.State(looping()), []string{"service-monitor/gw-17/mosquitto.service/state (retained)\n" +
			`{"unit":"mosquitto.service","health":"crash-loop","needs_attention":true,"health_text":"crash loop","active_state":"activating","sub_state":"auto-restart",` +
			`"since":"2026-11-27T12:00:01.5+01:00","starts":5,"stops":1,"crashes":4,"unknown":0,"restarts":4,"at_least":true,` +
			`"last_crash":{"time":"2026-11-27T12:00:00+01:00","result":"core-dump","signal":11,"status_text":"SEGV, core dumped","invocation":"5b1f0000000000000000000000000007"},` +
			`"retrying":true,"gave_up":false,"gave_up_because":"start-limit-hit"}`}},
		{"gone", s.Gone(`a\x2db@c.service`), []string{`service-monitor/gw-17/a\x2db@c.service/state (retained)` + "\n"}},
		{"event", s.Event(crash()), []string{"service-monitor/gw-17/mosquitto.service/event\n" +
			`{"seq":812,"time":"2026-11-27T12:00:01.5+01:00","boot_id":"0123456789abcdef0123456789abcdef","monotonic_usec":60000000,"unit":"mosquitto.service","kind":"crash",` +
			`"from":"active","to":"activating","result":"core-dump","signal":11,"status_text":"SEGV, core dumped","invocation":"5b1f0000000000000000000000000007","rule":"down-after-run",` +
			`"count":1,"starts":5,"stops":0,"crashes":4,"unknown":0,"restarts":0}`}},
		{"event of no unit", s.Event(&tell.Event{Seq: 1, Time: noon, Kind: "monitor", To: "started", Count: 1}), []string{"service-monitor/gw-17/event\n" +
			`{"seq":1,"time":"2026-11-27T12:00:00+01:00","kind":"monitor","to":"started","count":1,"starts":0,"stops":0,"crashes":0,"unknown":0,"restarts":0}`}},
		{"crash", s.Crash(lastWords()), []string{"service-monitor/gw-17/mosquitto.service/crash\n" +
			`{"unit":"mosquitto.service","invocation":"5b1f0000000000000000000000000007","time":"2026-11-27T12:00:00+01:00","result":"exit-code","code":1,"status":3,"cpu_nsec":1000000000,` +
			`"lines":[{"time":"2026-11-27T12:00:00+01:00","from":"mosquitto[812]","text":"Error: \u003cno\u003e memory"}]}`}},
		{"lost", s.Lost(Lost{Events: 812, Units: 3}, noon), []string{"service-monitor/gw-17/event\n" +
			`{"time":"2026-11-27T12:00:00+01:00","kind":"lost","text":"812 events of 3 units lost, counters are right","events":812,"units":3}`}},
		{"at least one lost", s.Lost(Lost{Events: 1, Units: 1, AtLeast: true}, later), []string{"service-monitor/gw-17/event\n" +
			`{"time":"2026-11-27T12:00:01.5+01:00","kind":"lost","text":"at least 1 event of 1 unit lost, counters are right","events":1,"units":1,"at_least":true}`}},
	} {
		expect(t, tt.name, tt.got, tt.want...)
	}
	if s.Births() != "" || s.LeftOut("tedge-agent.service") {
		t.Error("it waits for others")
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		scheme string
		to     func(*Options)
		want   string // in the error; empty if there is none
	}{
		{"plain", Plain, nil, ""},
		{"thin-edge", ThinEdge, nil, ""},
		{"homeassistant", HomeAssistant, nil, ""},
		{"no prefix", HomeAssistant, func(o *Options) { o.DiscoveryPrefix = "" }, ""},
		{"three slashes", HomeAssistant, func(o *Options) { o.DiscoveryPrefix = "a/b/c/d" }, ""},
		{"four slashes", HomeAssistant, func(o *Options) { o.DiscoveryPrefix = "a/b/c/d/e" }, "4 slashes"},
		{"a level is empty", HomeAssistant, func(o *Options) { o.DiscoveryPrefix = "a//b" }, "empty"},
		{"a slash at the end", HomeAssistant, func(o *Options) { o.DiscoveryPrefix = "ha/" }, "empty"},
		{"another scheme", "sparkplug", nil, `no scheme "sparkplug", but plain, thin-edge and homeassistant`},
		{"gateway", Plain, func(o *Options) { o.Gateway = "a/b" }, "a/b"},
	} {
		o := options(false)
		if tt.to != nil {
			tt.to(&o)
		}
		s, err := New(tt.scheme, o)
		if tt.want == "" && (err != nil || s == nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCheckGateway(t *testing.T) {
	for name, want := range map[string]string{
		"gw-17": "", "Gateway 17": "", "gw.example.com": "", "größe": "", "a$b": "", strings.Repeat("x", 64): "",
		"": "empty", "a+": "+", "#": "#", "a\x00b": "NUL", "a/b": "/", "$SYS": "$", "\xff": "UTF-8", strings.Repeat("x", 65): "65 bytes", strings.Repeat("ß", 33): "66 bytes",
	} {
		err := CheckGateway(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestParseMonitor(t *testing.T) {
	m, err := ParseMonitor([]byte(`{"running":true,"host":"gw","now":"2026-11-27T12:00:00Z","as_of":"2026-11-27T12:00:00Z","blind":true,"troubles":["no"],"connected":true}`))
	if diff := cmp.Diff(Monitor{Running: true, Blind: true, Troubles: []string{"no"}}, m); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, wrong := range []string{"", "[]", `{"running":1}`} {
		if _, err := ParseMonitor([]byte(wrong)); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}

func TestParseUnit(t *testing.T) {
	u := looping()
	text, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseUnit([]byte(strings.Replace(string(text), "{", `{"for_seconds":1.5,"restart":"always","triggered_by":["a.timer"],`, 1)))
	if diff := cmp.Diff(*u, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, wrong := range []string{"", "[]", "{}", `{"unit":""}`, `{"unit":"a","starts":-1}`} {
		if _, err := ParseUnit([]byte(wrong)); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}
