package topics

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// passing are the keys of status --json that change only because time passes, and those that systemd is asked
// for. A key that is new there is either in a Unit or here.
var passing = []string{
	"mark", "summary", "for_seconds", "crashes_24h", "availability_24h", "mtbf_seconds", "mttr_seconds", "ago_seconds",
	"restart", "restart_seconds", "next_try_at", "next_try_seconds", "start_limit_burst", "start_limit_interval_seconds", "start_limit_used", "triggered_by",
}

// status --json says the same as a state, and a state says it at any time.
func TestSameAsStatus(t *testing.T) {
	tally := &count.Tally{
		Unit: "mosquitto.service", State: "failed", Changed: noon, Starts: 3, Stops: 1, Crashes: 2, Unknown: 1, Restarts: 2, AtLeast: true,
		Life:      &classify.Life{ActiveState: "failed", SubState: "failed", Ended: true, Invocation: [16]byte{1}},
		LastCrash: &count.Crash{Time: noon, Cause: classify.Cause{Result: "core-dump", Code: 3, Status: 11}, Invocation: "01000000000000000000000000000000"},
	}
	gaveUp := *tally
	gaveUp.Life = &classify.Life{ActiveState: "failed", SubState: "failed", Ended: true, Retrying: true, GivenUp: true, Invocation: [16]byte{1}}
	exited := *tally
	exited.LastCrash = &count.Crash{Time: noon, Cause: classify.Cause{Result: "exit-code", Code: 1, Status: 0}}
	for _, tt := range []struct {
		name  string
		tally *count.Tally
	}{
		{"failed", tally}, {"gave up", &gaveUp}, {"exited", &exited},
		{"never seen", &count.Tally{Unit: "a.service", Life: &classify.Life{}}},
	} {
		u := &tell.Unit{Tally: tt.tally}
		u.Add(&store.Record{Kind: store.GaveUp, Time: noon, Result: "start-limit-hit"}, noon)
		var first []byte
		for _, now := range []time.Time{noon.Add(time.Minute), noon.Add(3 * time.Hour)} {
			s := &tell.Status{Now: now, AsOf: now, Since: noon, Units: []*tell.Unit{u}, Clock: tell.Clock{Now: now}}
			var b bytes.Buffer
			if err := s.WriteUnit(&b, u); err != nil {
				t.Fatal(err)
			}
			parsed, err := ParseUnit(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			state := must(t, Plain, false).State(&parsed)[0].Payload
			if diff := cmp.Diff(without(t, b.Bytes()), without(t, state)); diff != "" {
				t.Errorf("%s (-status +state):\n%s", tt.name, diff)
			}
			if first != nil && !bytes.Equal(first, state) {
				t.Errorf("%s: %s\nand later %s", tt.name, first, state)
			}
			first = state
		}
	}
}

func without(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	drop := func(m map[string]any) {
		maps.DeleteFunc(m, func(key string, _ any) bool { return slices.Contains(passing, key) })
	}
	drop(m)
	if last, ok := m["last_crash"].(map[string]any); ok {
		drop(last)
	}
	return m
}

// An event is what history --json prints.
func TestSameAsHistory(t *testing.T) {
	r := &store.Record{Seq: 7, Kind: store.Crash, Time: noon, Unit: "a.service", Boot: "b", Result: "<&>", Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: 1}}
	var b bytes.Buffer
	if err := tell.WriteJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var e tell.Event
	if err := json.Unmarshal(b.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	expect(t, "event", must(t, Plain, false).Event(&e), "service-monitor/gw-17/a.service/event\n"+string(bytes.TrimSpace(b.Bytes())))
}
