package tell

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
)

// The JSON has everything that the text has.
func TestWhyJSON(t *testing.T) {
	d, u := loopDiary()
	u.LastCrash = &count.Crash{Time: d.now.Add(-4 * time.Second), Cause: classify.Cause{Result: "core-dump", Code: 3, Status: 11}, Invocation: "5b1f"}
	y := report(d, u, 1)
	y.Boxes = []blackbox.Box{{
		Time: d.now.Add(-time.Hour), Invocation: "5b1f0000000000000000000000000007", CPU: 1500 * time.Millisecond, Memory: 4096, Core: 812,
		Lines: []records.Line{{Time: d.now.Add(-time.Hour), From: "gw[812]", Text: "free(): invalid pointer"}},
	}}
	const want = `
{
  "monitor": {
    "running": true,
    "now": "2025-07-18T11:50:57+02:00",
    "as_of": "2025-07-18T11:50:57+02:00",
    "history_since": "2025-07-07T11:50:00+02:00"
  },
  "unit": {
    "unit": "wirepas-gateway.service",
    "health": "crash-loop",
    "needs_attention": true,
    "mark": "↻",
    "health_text": "crash loop",
    "summary": "SIGSEGV, core dumped; 4 times since 11:50, every 17 s; systemd restarts it",
    "for_seconds": 55,
    "active_state": "activating",
    "sub_state": "auto-restart",
    "since": "2025-07-18T11:50:53+02:00",
    "starts": 4,
    "stops": 0,
    "crashes": 4,
    "unknown": 0,
    "restarts": 3,
    "at_least": false,
    "crashes_24h": 4,
    "availability_24h": 0.9922,
    "mtbf_seconds": 17,
    "mttr_seconds": 5,
    "last_crash": {
      "time": "2025-07-18T11:50:53+02:00",
      "result": "core-dump",
      "signal": 11,
      "status_text": "SIGSEGV, core dumped",
      "invocation": "5b1f",
      "ago_seconds": 4
    },
    "retrying": true,
    "gave_up": false
  },
  "summary": "wirepas-gateway.service crashed 4 times since 11:50 and goes on crashing",
  "explanation": "signal 11 (SIGSEGV, core dumped): it used memory that is not its own",
  "crash": {
    "seq": 3,
    "time": "2025-07-18T11:50:02+02:00",
    "boot_id": "b",
    "monotonic_usec": 954002000000,
    "unit": "wirepas-gateway.service",
    "kind": "crash",
    "result": "core-dump",
    "signal": 11,
    "status_text": "SIGSEGV, core dumped",
    "invocation": "5b1f0000000000000000000000000007",
    "rule": "down-after-run",
    "count": 1,
    "starts": 1,
    "stops": 0,
    "crashes": 1,
    "unknown": 0,
    "restarts": 0,
    "run_seconds": 950402,
    "ago_seconds": 55,
    "rule_text": "the unit was down after its invocation had run, and systemd's Result is not success"
  },
  "loop": {
    "crashes": 4,
    "since": "2025-07-18T11:50:02+02:00",
    "every_seconds": 17
  },
  "causes": [
    {
      "status_text": "SIGSEGV, core dumped",
      "crashes": 4
    }
  ],
  "what_next": "systemd starts it again",
  "down_24h_seconds": 670,
  "near": [
    {
      "seq": 2,
      "time": "2025-07-18T11:50:00+02:00",
      "boot_id": "b",
      "monotonic_usec": 954000000000,
      "unit": "mosquitto.service",
      "kind": "stop",
      "result": "success",
      "code": 0,
      "status_text": "success",
      "count": 1,
      "starts": 0,
      "stops": 1,
      "crashes": 0,
      "unknown": 0,
      "restarts": 0
    }
  ],
  "last_words": {
    "time": "2025-07-18T10:50:57+02:00",
    "invocation": "5b1f0000000000000000000000000007",
    "cpu_seconds": 1.5,
    "memory_peak_bytes": 4096,
    "core_dump_pid": 812,
    "whose": "the run that crashed",
    "lines": [
      {
        "time": "2025-07-18T10:50:57+02:00",
        "from": "gw[812]",
        "text": "free(): invalid pointer"
      }
    ]
  },
  "report": [
    {
      "name": "State",
      "text": "activating (auto-restart), for 4 s"
    },
    {
      "name": "Cause",
      "text": "signal 11 (SIGSEGV, core dumped): it used memory that is not its own"
    },
    {
      "name": "No. 1",
      "text": "2025-07-18 11:50:02, 55 s ago, after 11d; invocation 5b1f000000000000"
    },
    {
      "name": "A loop",
      "text": "every 17 s since 2025-07-18 11:50:02"
    },
    {
      "name": "Counted",
      "text": "the unit was down after its invocation had run, and systemd's Result is not success"
    },
    {
      "name": "All",
      "text": "4 × SIGSEGV, core dumped"
    },
    {
      "name": "What next",
      "text": "systemd starts it again"
    },
    {
      "name": "Counts",
      "text": "4 starts, 0 stops, 4 crashes, 0 unknown ends, 3 restarts"
    },
    {
      "name": "24 h",
      "text": "99.22% up; 4 crashes, down for 11m 10s in all"
    },
    {
      "name": "Usually",
      "text": "up for 17 s for each crash, down for 5 s after it"
    },
    {
      "name": "History",
      "text": "goes back to 2025-07-07 11:50"
    },
    {
      "name": "Near it",
      "text": "11:50:00 mosquitto stop"
    },
    {
      "name": "Used",
      "text": "1.5 s of CPU time, 4 kB of memory at most"
    }
  ],
  "look_further": [
    "coredumpctl info 812",
    "journalctl _SYSTEMD_INVOCATION_ID=5b1f0000000000000000000000000007",
    "systemctl status wirepas-gateway.service",
    "service-monitor history wirepas-gateway.service"
  ]
}
`
	if diff := cmp.Diff(want[1:], whyJSON(t, y)); diff != "" {
		t.Error(diff)
	}
}

// A unit that was stopped after its last crash says so, and how long ago.
func TestWhyJSONStopped(t *testing.T) {
	d := newDiary().add(broker, store.Start).later(time.Minute).add(broker, store.Crash, segv).later(time.Second).add(broker, store.Start)
	d.later(time.Minute).add(broker, store.Stop, success).later(time.Hour)
	u := &Unit{Tally: &count.Tally{Unit: broker, State: "inactive", Starts: 2, Stops: 1, Crashes: 1, Life: &classify.Life{ActiveState: "inactive", SubState: "dead"}}}
	y := report(d, u, 0)
	y.Status.Stopped = d.now.Add(-time.Minute)
	text := whyJSON(t, y)
	for _, words := range []string{`"running": false`, `"ago_seconds": 3600,`, `"explanation": "success: it ended well"`, `"run_seconds": 60,`, `"summary": "mosquitto.service is down, and that is no crash: its last run ended well"`} {
		if !strings.Contains(text, words) {
			t.Errorf("no %s in %s", words, text)
		}
	}
	var b bytes.Buffer
	y.Write(&b, Screen{Width: 80, Zone: zone})
	if !strings.Contains(b.String(), "  But       the monitor is not running since 2025-07-07 12:51:01;") {
		t.Error(b.String())
	}
}

func whyJSON(t *testing.T, y *Why) string {
	t.Helper()
	var line, text bytes.Buffer
	if err := y.WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&text, line.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// How long ago a crash or a stop was has no key if nobody knows.
func TestWhyJSONUnset(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   func(*store.Record)
		want bool
	}{
		{"it is known", func(*store.Record) {}, true},
		{"the clock was not set then", func(r *store.Record) { r.Time, r.Boot, r.Flags = time.Unix(50, 0), "a", store.Untrusted }, false},
		{"the clock was set back since", func(r *store.Record) { r.Time, r.Boot = r.Time.Add(5*time.Hour), "a" }, false},
	} {
		for _, kind := range []store.Kind{store.Crash, store.Stop} {
			d := newDiary().add(broker, store.Start).later(time.Minute).add(broker, kind, segv, tt.at).later(time.Minute)
			u := &Unit{Tally: &count.Tally{Unit: broker, State: "inactive", Starts: 1, Life: &classify.Life{ActiveState: "inactive", SubState: "dead"}}}
			if text := whyJSON(t, report(d, u, 0)); strings.Contains(text, "ago_seconds") != tt.want {
				t.Errorf("%s: %v\n%s", tt.name, kind, text)
			}
		}
	}
}

// A crash that came with others in one record is told as one of them.
func TestWhyOneOfMany(t *testing.T) {
	d := newDiary().add(gateway, store.Crash, segv).later(time.Second)
	d.add(gateway, store.Many, segv, func(r *store.Record) { r.Until, r.Delta = r.Time.Add(time.Hour), store.Counts{Crashes: 130} }).later(time.Hour)
	u := &Unit{Tally: &count.Tally{Unit: gateway, State: "failed", Crashes: 131, Life: &classify.Life{ActiveState: "failed", SubState: "failed"}}}
	for number, want := range map[int64]string{
		0:   "  Last      2025-07-07 12:50:01, 0 s ago\n",
		1:   "  No. 1     2025-07-07 11:50:00, 1h ago\n",
		83:  "  No. 83    one of 130 from 2025-07-07 11:50:01 to 2025-07-07 12:50:01; the last of them: 2025-07-07 12:50:01, 0 s ago\n",
		131: "  No. 131   2025-07-07 12:50:01, 0 s ago\n",
	} {
		if text := why(d, &Unit{Tally: u.Tally}, number, Screen{Width: 140}); !strings.Contains(text, want) {
			t.Errorf("%d: no %q in\n%s", number, want, text)
		}
	}
}
