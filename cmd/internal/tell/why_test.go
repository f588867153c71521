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

// report returns what there is to say about a unit after what a diary has.
func report(d *diary, u *Unit, number int64) *Why {
	y := &Why{
		Status: &Status{Now: d.now, AsOf: d.now, Clock: Clock{Now: d.now}},
		Unit:   u, Number: number, Uptime: Availability{.9922, 11*time.Minute + 10*time.Second, 17 * time.Second, 5 * time.Second},
	}
	if len(d.records) > 0 {
		y.Status.Since = d.records[0].Time
	}
	for _, r := range d.records {
		y.Add(&r)
		r = store.Record{}
	}
	y.CatchUp()
	for _, r := range d.records {
		y.Near(&r)
	}
	return y
}

func why(d *diary, u *Unit, number int64, s Screen) string {
	s.Zone = zone
	var b bytes.Buffer
	report(d, u, number).Write(&b, s)
	return b.String()
}

// loopDiary is of a gateway that crashes four times, and waits for its restart.
func loopDiary() (*diary, *Unit) {
	d := newDiary()
	id := func(r *store.Record) { r.Invocation, r.Rule = [16]byte{0x5b, 0x1f, 15: 7}, "down-after-run" }
	d.add(gateway, store.Start).later(11*24*time.Hour).add(broker, store.Stop, success).later(2*time.Second).add(gateway, store.Crash, segv, id)
	for range 3 {
		d.later(5*time.Second).add(gateway, store.Restart).add(gateway, store.Start).later(12*time.Second).add(gateway, store.Crash, segv, id)
	}
	d.later(4 * time.Second)
	return d, &Unit{Tally: &count.Tally{
		Unit: gateway, State: "activating", Changed: d.now.Add(-4 * time.Second), Starts: 4, Crashes: 4, Restarts: 3,
		Life: &classify.Life{ActiveState: "activating", SubState: "auto-restart", Retrying: true},
	}}
}

func TestWhy(t *testing.T) {
	d, u := loopDiary()
	const want = `
wirepas-gateway.service crashed 4 times since 11:50 and goes on crashing

  State     activating (auto-restart), for 4 s
  Cause     signal 11 (SIGSEGV, core dumped): it used memory that is not its own
  Last      2025-07-18 11:50:53, 4 s ago, after 12 s; invocation
            5b1f000000000000
  A loop    every 17 s since 2025-07-18 11:50:02
  Counted   the unit was down after its invocation had run, and systemd's Result
            is not success
  All       4 × SIGSEGV, core dumped
  What next systemd starts it again
  Counts    4 starts, 0 stops, 4 crashes, 0 unknown ends, 3 restarts
  24 h      99.22% up; 4 crashes, down for 11m 10s in all
  Usually   up for 17 s for each crash, down for 5 s after it
  History   goes back to 2025-07-07 11:50

  Look further
    coredumpctl info wirepas-gateway.service
    journalctl _SYSTEMD_INVOCATION_ID=5b1f0000000000000000000000000007
    systemctl status wirepas-gateway.service
    service-monitor history wirepas-gateway.service
`
	if diff := cmp.Diff(want[1:], why(d, u, 0, Screen{Width: 80})); diff != "" {
		t.Error(diff)
	}
	first := why(d, &Unit{Tally: u.Tally}, 1, Screen{Width: 80})
	for _, words := range []string{"No. 1     2025-07-18 11:50:02", "after 11d", "Near it   11:50:00 mosquitto stop"} {
		if !strings.Contains(first, words) {
			t.Errorf("the first crash lacks %q:\n%s", words, first)
		}
	}
}

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

// What is counted, but not in the history yet, is the last crash all the same.
func TestWhyAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		crashes uint64
		last    time.Duration // ago
		number  int64
		want    string
	}{
		{"one more", 2, time.Second, 0, "Last      2025-07-07 12:50:00, 1 s ago; invocation 5b1f000000000000\n"},
		{"many more, as in a storm", 9, time.Second, 0, "8 × SIGKILL"},
		{"the second one of these", 9, time.Second, 3, "No. 3     2025-07-07 12:50:00"},
		{"the first one, which the history has", 2, time.Second, 1, "No. 1     2025-07-07 11:50:01"},
		{"none is missing", 1, time.Hour, 0, "Last      2025-07-07 11:50:01"},
		{"it was before the history", 2, 2 * time.Hour, 0, "Last      2025-07-07 11:50:01"},
	} {
		d := newDiary().add(gateway, store.Start).later(time.Second).add(gateway, store.Crash, segv).later(time.Hour)
		u := &Unit{Tally: &count.Tally{
			Unit: gateway, State: "failed", Starts: tt.crashes, Crashes: tt.crashes, Life: &classify.Life{ActiveState: "failed", SubState: "failed"},
			LastCrash: &count.Crash{Time: d.now.Add(-tt.last), Cause: killed, Invocation: "5b1f0000000000000000000000000007"},
		}}
		if text := why(d, u, tt.number, Screen{Width: 140}); !strings.Contains(text, tt.want) {
			t.Errorf("%s: no %q in\n%s", tt.name, tt.want, text)
		}
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

// Whatever a unit is like, there is something to say, and it fits.
func TestWhyAnything(t *testing.T) {
	for _, u := range append(gatewayStatus().Units, &Unit{Tally: &count.Tally{Unit: "never.service"}}) {
		if text := whyJSON(t, report(&diary{now: noon}, u, 0)); !strings.Contains(text, u.Unit) {
			t.Error(text)
		}
		for _, width := range []int{60, 80, 140} {
			text := why(&diary{now: noon}, u, 0, Screen{Width: width, ASCII: true})
			if !strings.Contains(text, u.Unit) || !strings.Contains(text, "Look further") {
				t.Error(text)
			}
			for line := range strings.Lines(text) {
				if len(line)-1 > width {
					t.Errorf("%d columns of %d: %q", len(line)-1, width, line)
				}
			}
		}
	}
}

func TestExplain(t *testing.T) {
	for _, result := range []string{"success", "protocol", "timeout", "watchdog", "start-limit-hit", "resources", "oom-kill", "exec-condition", "shutdown", "power-loss", "unknown"} {
		if text := Explain(result, 0, 0); !strings.Contains(text, ": ") {
			t.Errorf("%s: %q", result, text)
		}
	}
	for code := range int32(256) {
		if text := Explain("exit-code", 1, code); len(text) < 20 {
			t.Errorf("exit code %d: %q", code, text)
		}
	}
	for signal := int32(1); signal < 65; signal++ {
		if text := Explain("signal", 2, signal); !strings.HasPrefix(text, "signal ") || !strings.Contains(text, ": ") {
			t.Errorf("signal %d: %q", signal, text)
		}
	}
}
