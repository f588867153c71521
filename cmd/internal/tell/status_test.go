package tell

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
)

var noon = time.Date(2025, 7, 7, 12, 0, 0, 0, zone)

// unit returns a unit that entered a state some time ago.
func unit(name, state string, ago time.Duration, more ...func(*Unit)) *Unit {
	u := &Unit{Tally: &count.Tally{Unit: name, State: state, Changed: noon.Add(-ago), Life: &classify.Life{ActiveState: state, SubState: "x"}}}
	for _, f := range more {
		f(u)
	}
	return u
}

// crashed lets a unit crash n times, at equal distances. The last crash is now.
func crashed(n int, every time.Duration, c classify.Cause) func(*Unit) {
	return func(u *Unit) {
		for i := range n {
			at := noon.Add(-every * time.Duration(n-1-i))
			u.Past.Add(&store.Record{Kind: store.Crash, Time: at, Delta: store.Counts{Crashes: 1}}, noon)
			u.LastCrash = &count.Crash{Time: at, Cause: c, Invocation: "5b1f"}
		}
		u.Crashes = uint64(n)
	}
}

// ended lets a run of a unit end in a state.
func ended(k store.Kind, from, result string, f store.Flags) func(*Unit) {
	return func(u *Unit) {
		u.Past.Add(&store.Record{Kind: k, Flags: f, Time: noon, From: from, Result: result, Delta: store.Single(k, f)}, noon)
	}
}

// refused lets systemd give up, and leave the unit in a state.
func refused(to string) func(*Unit) {
	return func(u *Unit) {
		u.Past.Add(&store.Record{Kind: store.GaveUp, Time: noon, To: to, Result: classify.StartLimitHit}, noon)
	}
}

var (
	killed  = classify.Cause{Result: "signal", Code: 2, Status: 9}
	retries = func(u *Unit) { u.Life.Retrying = true }
	gaveUp  = func(u *Unit) { u.Life.Retrying, u.Life.GivenUp = true, true }
	atLeast = func(u *Unit) { u.AtLeast = true }
	// hitLimit refuses a start of a unit, and no restart.
	hitLimit = func(u *Unit) { u.Life.GivenUp = true }
	gapOpen  = func(u *Unit) { u.Life.Opened = noon }
)

func phase(p count.Phase) func(*Unit) { return func(u *Unit) { u.Times.Phase = p } }

func gatewayStatus() *Status {
	return &Status{
		Now: noon, Host: "gw-0042", AsOf: noon.Add(-2 * time.Second), Since: noon.Add(-31 * 24 * time.Hour), Clock: Clock{Now: noon},
		Units: []*Unit{
			unit("dbus.service", "active", 12*24*time.Hour, func(u *Unit) { u.Life.Invocation = [16]byte{1} }),
			unit("hwcheck.service", "failed", time.Hour, crashed(1, 0, classify.Cause{Result: "exit-code", Code: 1, Status: 1})),
			unit("lora.service", decode.NotLoaded, time.Hour),
			unit("migrate.service", "active", time.Hour, func(u *Unit) { u.Life.SubState = "exited" }),
			unit("modbus.service", "inactive", 27*time.Hour),
			unit("sink.service", "failed", 2*time.Hour, crashed(5, time.Second, classify.Cause{Result: "exit-code", Code: 1, Status: 203}), gaveUp),
			unit("wirepas-gateway.service", "activating", 3*time.Second, crashed(130, 17*time.Second, killed), retries, atLeast),
		},
	}
}

func TestStatus(t *testing.T) {
	const want = `
gw-0042: 4 of 7 services need attention            as of 2025-07-07 11:59:58 +02

  SERVICE          STATE            FOR  CRASHES    24H  LAST CRASH    UP 24H
× sink             gave up           2h        5      5  0 s ago            –
    203/EXEC, no program; systemd gave up: down until somebody starts it
↻ wirepas-gateway  crash loop   36m 33s     130+    130  0 s ago            –
    SIGKILL; 130 times since 11:23, every 17 s
× hwcheck          failed            1h        1      1  0 s ago            –
    exit 1; down until somebody starts it
? lora             not loaded        1h        0      0  –                  –
    systemd has no such unit; is monitored_services spelt right?
○ modbus           stopped        1d 3h        0      0  –                  –
● migrate          exited ok         1h        0      0  –                  –
● dbus             running          12d        0      0  –            100.00%

+ at least: something happened that nobody saw and that no record tells.
The history goes back to 2025-06-06 12:00 (31d).
Next: service-monitor why sink
More: service-monitor history SERVICE, and journalctl -u SERVICE
`
	var b bytes.Buffer
	gatewayStatus().Write(&b, Screen{Width: 80, Zone: zone})
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with the monitor is said first, on as many lines as it needs.
func TestStatusTroubles(t *testing.T) {
	s := gatewayStatus()
	s.Units = s.Units[:1]
	s.Troubles = []string{"bus lost since 11:59:01", "gap open since 2025-07-07 11:58:07: cannot read the journal: journalctl is not there"}
	const want = `
gw-0042: the service is well   as of 2025-07-07 11:59:58 +02
THE MONITOR: bus lost since 11:59:01
THE MONITOR: gap open since 2025-07-07 11:58:07: cannot read
             the journal: journalctl is not there
`
	var b bytes.Buffer
	s.Write(&b, Screen{Width: 60, Zone: zone})
	if diff := cmp.Diff(want[1:], b.String()[:len(want)-1]); diff != "" {
		t.Error(diff)
	}
}

func TestStatusScreens(t *testing.T) {
	for _, stopped := range []time.Time{{}, noon.Add(-time.Hour)} {
		for _, width := range []int{60, 80, 140} {
			for _, units := range [][]*Unit{nil, gatewayStatus().Units[:1], gatewayStatus().Units} {
				s := gatewayStatus()
				s.Units, s.Stopped, s.Host = units, stopped, strings.Repeat("gateway", 9)
				var b bytes.Buffer
				s.Write(&b, Screen{Width: width, Zone: zone, ASCII: true})
				for line := range strings.Lines(b.String()) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width || n != len(line)-1 {
						t.Errorf("%d columns of %d: %q", n, width, line)
					}
				}
				if told := strings.Contains(b.String(), "NOT RUNNING"); told == stopped.IsZero() {
					t.Errorf("stopped %v:\n%s", stopped, b.String())
				}
			}
		}
	}
}

// On a narrow screen there are fewer columns, and nothing is cut but names, which keep their end.
func TestStatusNarrow(t *testing.T) {
	const want = `
gw-0042: 3 of 4 services need attention       as of 11:59:58

  SERVICE         STATE            FOR  CRASHES  LAST CRASH
× wirepas…@ttyS1  gave up           2h        5  0 s ago
    203/EXEC, no program; systemd gave up: down until
    somebody starts it
↻ wirepas…ateway  crash loop   36m 33s     130+  0 s ago
    SIGKILL; 130 times since 11:23, every 17 s
× systemd…d-0a1b  failed            1h        0  –
    it failed while nobody watched; down until somebody
    starts it
● wirepas…@ttyS2  running           1h        0  –

+ at least: something happened that nobody saw and that no
record tells.
The history goes back to 2025-06-06 12:00 (31d).
Next: service-monitor why wirepas-sink@ttyS1
More: service-monitor history SERVICE, and journalctl -u
SERVICE
`
	s := gatewayStatus()
	s.Units[5].Unit = "wirepas-sink@ttyS1.service"
	s.Units = append(s.Units[5:], unit("wirepas-sink@ttyS2.service", "active", time.Hour), unit(`systemd-fsck@dev-disk-by\x2duuid-0a1b.service`, "failed", time.Hour))
	var b bytes.Buffer
	s.Write(&b, Screen{Width: 60, Zone: zone})
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStatusTitle(t *testing.T) {
	escaped := unit(`fsck@dev-disk-by\x2duuid.service`, "failed", time.Hour)
	ran := unit("a.service", "active", time.Hour)
	for _, tt := range []struct {
		name  string
		units []*Unit
		width int
		to    func(s *Status)
		want  []string
	}{
		{"no unit", nil, 80, func(*Status) {}, []string{"gw-0042: no service is monitored  ", "\nName services in monitored_services"}},
		{"the monitor is down", []*Unit{ran, ran}, 80, func(s *Status) { s.Stopped = s.AsOf }, []string{"gw-0042: all 2 services were well  ", "\nWhy the monitor stopped: systemctl status service-monitor\nTo go on"}},
		{"the bus is lost", []*Unit{ran}, 80, func(s *Status) { s.Troubles = []string{"bus lost since 12:00:07"} }, []string{"THE MONITOR: bus lost since 12:00:07\n", "\nMore about the monitor: journalctl -x -u service-monitor\nMore: "}},
		{"nobody sees what happens", []*Unit{ran, ran}, 80, func(s *Status) {
			s.Troubles, s.Monitor.Counters = []string{"bus lost since 12:00:07"}, &feed.Counters{}
		}, []string{"gw-0042: all 2 services were well  "}},
		{"no unit was seen", []*Unit{ran, {Tally: &count.Tally{Unit: "b.service"}}}, 80, func(*Status) {}, []string{"gw-0042: 1 of 2 services not seen yet  "}},
		{"as of another day", []*Unit{ran}, 40, func(s *Status) { s.AsOf = noon.Add(-day) }, []string{"gw-0042: the service is well\nas of 2025-07-06 12:00:00 +02\n"}},
		{"a name that a shell would change", []*Unit{escaped}, 80, func(*Status) {}, []string{`Next: service-monitor why 'fsck@dev-disk-by\x2duuid'` + "\n"}},
		// Two hours after its last crash, a unit of a monitor that runs is in no loop any more.
		{"a loop when the monitor ended", []*Unit{unit("a.service", "activating", 2*time.Hour, crashed(3, time.Minute, killed), retries)}, 80,
			func(s *Status) { s.Now, s.Stopped = noon.Add(2*time.Hour), s.AsOf }, []string{"1 of 1 service needs attention", "↻ a        crash loop"}},
		{"a loop since yesterday", []*Unit{unit("a.service", "activating", 0, crashed(200, 9*time.Minute, killed), retries)}, 80, func(*Status) {}, []string{"200 times since 2025-07-06 06:09, every 9m"}},
	} {
		s := gatewayStatus()
		s.Units = tt.units
		tt.to(s)
		var b bytes.Buffer
		s.Write(&b, Screen{Width: tt.width, Zone: zone})
		for _, want := range tt.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, &b)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	three := crashed(3, time.Minute, killed)
	for _, tt := range []struct {
		name string
		u    *Unit
		want Health
	}{
		{"never seen", &Unit{Tally: &count.Tally{State: "inactive"}}, Unknown},
		{"it runs, and has crashed twice", unit("a", "active", time.Hour, crashed(2, time.Minute, killed)), Running},
		{"it runs for a moment, and has crashed three times", unit("a", "active", time.Second, three), CrashLoop},
		{"it waits for its restart", unit("a", "activating", time.Second, crashed(1, 0, killed), retries), Starting},
		{"three crashes, and systemd does not restart it", unit("a", "failed", time.Second, three), Failed},
		{"three crashes, then the start limit", unit("a", "failed", time.Second, three, gaveUp), GaveUp},
		{"three crashes, each after an hour", unit("a", "active", time.Second, crashed(3, time.Hour, killed)), Running},
		{"a oneshot that stays active", unit("a", "active", time.Hour, func(u *Unit) { u.Life.SubState = "exited" }), ExitedOK},
		{"a oneshot", unit("a", "inactive", time.Hour, ended(store.Stop, "activating", "success", 0)), ExitedOK},
		{"a oneshot whose last run nobody watched", unit("a", "inactive", time.Hour, ended(store.Stop, "activating", "success", 0), ended(store.Stop, "failed", "success", store.Recovered)), ExitedOK},
		{"a oneshot that runs", unit("a", "activating", time.Hour, ended(store.Stop, "activating", "success", 0)), Starting},
		{"a oneshot that crashed, and was reset", unit("a", "inactive", time.Hour, ended(store.Stop, "activating", "success", 0), ended(store.Crash, "activating", "exit-code", 0)), Stopped},
		{"a oneshot whose condition was not met", unit("a", "inactive", time.Hour, ended(store.Stop, "activating", "exec-condition", 0)), Stopped},
		{"a oneshot that nobody knows as one", unit("a", "inactive", time.Hour, ended(store.Stop, "activating", "success", store.AtLeast)), Stopped},
		{"stopped", unit("a", "inactive", time.Hour, ended(store.Stop, "deactivating", "success", 0)), Stopped},
		{"it ended by itself", unit("a", "inactive", time.Hour, ended(store.Stop, "active", "success", 0)), Stopped},
		{"it is no oneshot any more", unit("a", "inactive", time.Hour, ended(store.Stop, "activating", "success", 0), ended(store.Stop, "active", "success", 0)), Stopped},
		{"its restart failed, and it waits for ever", unit("a", "activating", time.Hour, gaveUp, func(u *Unit) { u.Life.SubState = "auto-restart-queued" }), GaveUp},
		{"its restart failed, and it is inactive", unit("a", "inactive", time.Hour, gaveUp, refused("inactive")), GaveUp},
		{"its restart was refused, and somebody reset it", unit("a", "inactive", time.Hour, gaveUp, refused("failed")), Stopped},
		{"its start was refused, and the history has it", unit("a", "failed", time.Hour, hitLimit, refused("failed")), GaveUp},
		{"its start was refused, and the history does not have it yet", unit("a", "failed", time.Hour, hitLimit), GaveUp},
		{"nobody could read whether it was refused", unit("a", "failed", time.Hour, hitLimit, gapOpen), Failed},
		{"it was refused, and then nobody could read the journal", unit("a", "failed", time.Hour, hitLimit, gapOpen, refused("failed")), GaveUp},
		{"its start was refused, and somebody reset it", unit("a", "inactive", time.Hour, hitLimit, refused("failed")), Stopped},
		{"it was started after that", unit("a", "inactive", time.Hour, refused("inactive"), ended(store.Start, "inactive", "", 0)), Stopped},
		{"stopped by hand after a loop", unit("a", "inactive", time.Second, three), Stopped},
		{"stopped by hand in a loop, while it waited for its restart", unit("a", "inactive", time.Second, three, retries, phase(count.Stopped)), Stopped},
		{"stopped by hand in a loop, before 257 in the moment before its restart", unit("a", "inactive", time.Minute, three, retries, phase(count.Down)), Stopped},
		{"a loop, and before 257 its restart has just begun", unit("a", "inactive", time.Second, three, retries, phase(count.Down)), CrashLoop},
	} {
		if got := tt.u.Health(noon); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	var b bytes.Buffer
	if err := gatewayStatus().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Monitor struct{ Running bool }
		Units   []struct {
			Unit, Health string
			Crashes      int
			LastCrash    struct {
				Signal int    `json:"signal"`
				Text   string `json:"status_text"`
			} `json:"last_crash"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	last := got.Units[len(got.Units)-1]
	if !got.Monitor.Running || len(got.Units) != 7 || last.Health != "crash-loop" || last.Crashes != 130 || last.LastCrash.Signal != 9 || last.LastCrash.Text != "SIGKILL" {
		t.Errorf("%+v", got)
	}
}

// The JSON has the words that the text shows, so that another program need not find its own.
func TestStatusJSONWords(t *testing.T) {
	s := gatewayStatus()
	var text, b bytes.Buffer
	s.Write(&text, Screen{Zone: zone})
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Monitor struct{ Host string }
		Units   []struct {
			Unit, Mark, Summary string
			Words               string `json:"health_text"`
			Attention           bool   `json:"needs_attention"`
			For                 int    `json:"for_seconds"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Monitor.Host != "gw-0042" || len(got.Units) != 7 {
		t.Errorf("%+v", got)
	}
	for _, u := range got.Units {
		for _, words := range []string{u.Mark + " " + short(u.Unit) + " ", "  " + u.Words + " ", "    " + u.Summary + "\n", Span(time.Duration(u.For) * time.Second)} {
			if u.Summary == "" && words == "    \n" {
				continue
			}
			if !strings.Contains(text.String(), words) {
				t.Errorf("%s: %q is not in the text:\n%s", u.Unit, words, &text)
			}
		}
		if u.Attention != (u.Summary != "") {
			t.Errorf("%s: needs attention: %v, but %q", u.Unit, u.Attention, u.Summary)
		}
	}
}

// What happened while the clock was not set is as long ago as the monotonic clock says, in JSON as in
// the text. If that is not known either, there is no key.
func TestStatusJSONUnset(t *testing.T) {
	for _, tt := range []struct {
		name string
		boot string
		want string
	}{
		{"in this boot", "b", `"ago_seconds":60`},
		{"in a boot of which nothing is known", "a", `"status_text":"SIGKILL"}`},
	} {
		s := gatewayStatus()
		s.Clock.Boot, s.Clock.Since = "b", 100_000_000
		s.Units = []*Unit{unit("a.service", "active", time.Hour)}
		s.Units[0].LastCrash = &count.Crash{Time: time.Date(1970, 1, 1, 0, 0, 40, 0, zone), Clock: 40_000_000, Boot: tt.boot, Untrusted: true, Cause: killed}
		var b bytes.Buffer
		if err := s.WriteJSON(&b); err != nil || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%s: no %s in %s", tt.name, tt.want, &b)
		}
	}
}
