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
		{"the second one of these", 9, time.Second, 3, "No. 3     one of 8; the last of them: 2025-07-07 12:50:00"},
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
