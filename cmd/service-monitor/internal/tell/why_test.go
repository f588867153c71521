package tell

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

func why(d *diary, u *Unit, number int64, s Screen) string {
	y := &Why{Unit: u, Number: number, Uptime: Availability{.9922, 11*time.Minute + 10*time.Second, 17 * time.Second, 5 * time.Second}}
	for _, r := range d.records {
		y.Add(&r, d.now)
		r = store.Record{}
	}
	for _, r := range d.records {
		y.Near(&r)
	}
	s.Zone = zone
	var b bytes.Buffer
	y.Write(&b, s, d.now)
	return b.String()
}

func TestWhy(t *testing.T) {
	d := newDiary()
	id := func(r *store.Record) { r.Invocation, r.Rule = [16]byte{0x5b, 0x1f, 15: 7}, "down-after-run" }
	d.add(gateway, store.Start).later(11*24*time.Hour).add(broker, store.Stop, success).later(2*time.Second).add(gateway, store.Crash, segv, id)
	for range 3 {
		d.later(5*time.Second).add(gateway, store.Restart).add(gateway, store.Start).later(12*time.Second).add(gateway, store.Crash, segv, id)
	}
	d.later(4 * time.Second)
	u := &Unit{Tally: &count.Tally{
		Unit: gateway, State: "activating", Changed: d.now.Add(-4 * time.Second), Starts: 4, Crashes: 4, Restarts: 3,
		Life: &classify.Life{ActiveState: "activating", SubState: "auto-restart", Retrying: true},
	}}
	const want = `
wirepas-gateway.service crashed 4 times since 11:50 and goes on crashing

  State     activating (auto-restart), since 4 s
  Cause     signal 11 (SIGSEGV, core dumped): it used memory that is not its own
  Last      2025-07-18 11:50:53, 4 s ago, after 12 s; invocation
            5b1f000000000000
  A loop    every 17 s since 2025-07-18 11:50:02
  Counted   the unit was down after its invocation had run, and systemd's Result
            is not success
  All       4 × SIGSEGV, core dumped
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

// There is something to say about every unit, and it fits the screen.
func TestWhyAnything(t *testing.T) {
	for _, u := range append(gatewayStatus().Units, &Unit{Tally: &count.Tally{Unit: "never.service"}}) {
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
