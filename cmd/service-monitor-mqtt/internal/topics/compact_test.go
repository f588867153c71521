package topics

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"service-monitor/cmd/internal/tell"
)

func TestCompact(t *testing.T) {
	s := must(t, Plain, true)
	exited := int32(0)
	ended := &tell.Event{Seq: 3, Time: noon, Until: later, Unit: "a.service", Kind: "many", Code: &exited, Result: "exit-code", Count: 2, Untrusted: true, Crashes: 2}
	for _, tt := range []struct {
		name string
		got  []Message
		want string
	}{
		{"online", s.Online(Monitor{Running: true, Troubles: []string{}}, noon), "sm/gw-17/s (retained)\n" + `{"m":{"up":true},"st":"online","t":1795777200,"v":"1.2","w":true}`},
		{"the monitor does not run", s.Online(Monitor{}, noon), "sm/gw-17/s (retained)\n" + `{"st":"online","t":1795777200,"v":"1.2"}`},
		{"last will", []Message{s.Offline(later)}, "sm/gw-17/s (retained)\n" + `{"on":1795777201.5,"st":"offline"}`},
		{"state", s.State(looping()), "sm/gw-17/mosquitto.service/s (retained)\n" +
			`{"a":true,"al":true,"as":"activating","c":4,"gb":"start-limit-hit","h":"crash-loop","ht":"crash loop",` +
			`"lc":{"i":"5b1f0000000000000000000000000007","re":"core-dump","si":11,"t":1795777200,"x":"SEGV, core dumped"},"p":1,"r":4,"rt":true,"s":5,"sc":1795777201.5,"ss":"auto-restart"}`},
		{"running", s.State(running()), "sm/gw-17/wirepas-sink@ttyUSB1.service/s (retained)\n" + `{"as":"active","h":"running","ht":"running","s":1,"sc":1795777200,"ss":"running"}`},
		{"event", s.Event(crash()), "sm/gw-17/mosquitto.service/e\n" +
			`{"b":"0123456789abcdef0123456789abcdef","c":4,"f":"active","i":"5b1f0000000000000000000000000007","k":"crash","mu":60000000,"n":1,"o":"activating","q":812,"re":"core-dump",` +
			`"ru":"down-after-run","s":5,"si":11,"t":1795777201.5,"x":"SEGV, core dumped"}`},
		{"an exit code of zero", s.Event(ended), "sm/gw-17/a.service/e\n" + `{"c":2,"co":0,"k":"many","n":2,"nt":true,"q":3,"re":"exit-code","t":1795777200,"un":1795777201.5}`},
		{"crash", s.Crash(lastWords()), "sm/gw-17/mosquitto.service/c\n" +
			`{"co":1,"cpu":1000000000,"i":"5b1f0000000000000000000000000007","l":[{"f":"mosquitto[812]","t":1795777200,"tx":"Error: \u003cno\u003e memory"}],"re":"exit-code","st":3,"t":1795777200}`},
		{"lost", s.Lost(Lost{Events: 812, Units: 3}, noon), "sm/gw-17/e\n" + `{"ev":812,"k":"lost","t":1795777200,"tx":"812 events of 3 units lost, counters are right","us":3}`},
	} {
		expect(t, tt.name, tt.got, tt.want)
	}
}

// Each key that a payload can have is in the table, once and with a name that no other key has.
func TestCompactKeys(t *testing.T) {
	all := map[string]bool{}
	last, shorts := "", map[string]bool{}
	for _, k := range CompactKeys() {
		if k[0] <= last || len(k[1]) > 3 || k[1] == "" || shorts[k[1]] {
			t.Errorf("%s: %s", k[0], k[1])
		}
		last, shorts[k[1]] = k[0], true
		all[k[0]] = false
	}
	last32, event := int32(1), tell.Event{Until: noon, SubState: "x"}
	fill := crash()
	fill.Until, fill.SubState, fill.Code, fill.Recovered, fill.AtLeast, fill.Untrusted, fill.Untold = noon, "x", &last32, true, true, true, true
	b := lastWords()
	b.Memory, b.Core = 1, 1
	u := looping()
	u.LastCrash.Code = &last32
	values := []any{
		u, fill, event, box{b, 1}, lostOf(Lost{AtLeast: true}, noon),
		status{Status: online, Time: noon, Since: noon, Version: "1", Watching: new(true), Monitor: &Monitor{Stopped: noon, Blind: true, Troubles: []string{"a"}}},
	}
	for _, v := range values {
		see(decode(encode(v)), func(key string) {
			if _, known := all[key]; !known {
				t.Errorf("%s has no short name", key)
			}
			all[key] = true
		})
	}
	for key, used := range all {
		if !used {
			t.Errorf("no payload has %s", key)
		}
	}
}

func see(v any, key func(string)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			see(e, key)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			key(k)
			see(v[k], key)
		}
	}
}

func TestUnix(t *testing.T) {
	for want, at := range map[string]time.Time{
		"0": time.Unix(0, 0), "0.001": time.UnixMilli(1), "1795777201.5": later, "1795777201.999": time.Unix(1795777201, 999_999_999), "-1": time.Unix(-1, 0), "4102444800.123": time.UnixMilli(4102444800123),
	} {
		if got := unix(at); got != json.Number(want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// What short names are for.
func TestCompactIsSmall(t *testing.T) {
	long, short := must(t, Plain, false), must(t, Plain, true)
	size := func(m []Message) int { return len(m[0].Topic) + len(m[0].Payload) }
	for what, sizes := range map[string][2]int{
		"running": {size(long.State(running())), size(short.State(running()))},
		"event":   {size(long.Event(crash())), size(short.Event(crash()))},
	} {
		if t.Logf("%s: %d and %d bytes", what, sizes[0], sizes[1]); sizes[1]*100 > sizes[0]*65 {
			t.Errorf("%s has %d and %d bytes", what, sizes[0], sizes[1])
		}
	}
	if strings.Contains(string(short.State(running())[0].Payload), "wirepas") {
		t.Error("it repeats the topic")
	}
}
