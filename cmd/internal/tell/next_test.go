package tell

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/bus/plan"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// asOf returns the status of now: an hour after the boot "b".
func asOf() *Status {
	return &Status{Now: noon, AsOf: noon, Since: noon.Add(-time.Hour), Clock: Clock{Now: noon, Boot: "b", Since: uint64(time.Hour.Microseconds())}}
}

// starts lets a unit start so many seconds before now, and counts that.
func starts(secondsAgo ...float64) func(*Unit) {
	return func(u *Unit) {
		for _, ago := range secondsAgo {
			startsBy(ago, store.Record{Kind: store.Start, Boot: "b", Delta: store.Counts{Starts: 1}})(u)
		}
	}
}

// startsBy adds a record of starts, and counts them.
func startsBy(secondsAgo float64, r store.Record) func(*Unit) {
	return func(u *Unit) {
		u.Tally.Starts += uint64(r.Delta.Starts)
		ago := time.Duration(secondsAgo * float64(time.Second))
		r.Time, r.Monotonic, r.After.Starts = noon.Add(-ago), uint64((time.Hour - ago).Microseconds()), int64(u.Tally.Starts)
		u.Past.Add(&r, noon)
	}
}

func limited(burst uint32, interval time.Duration) func(*Unit) {
	return func(u *Unit) { u.Plan = &plan.Plan{Burst: burst, Interval: interval} }
}

func TestUsed(t *testing.T) {
	five := limited(5, 10*time.Second)
	many := store.Record{Kind: store.Many, Boot: "b", Delta: store.Counts{Starts: 2, Crashes: 2}}
	before := startsBy(4000, store.Record{Kind: store.Start, Boot: "a", Delta: store.Counts{Starts: 1}})
	seen := func(ago float64) func(*Unit) { return startsBy(ago, store.Record{Kind: store.Seen, Boot: "b"}) }
	counted := func(n uint64) func(*Unit) { return func(u *Unit) { u.Tally.Starts += n } }
	begun := func(ago time.Duration) func(*Unit) {
		return func(u *Unit) { u.Life.Begun = uint64((time.Hour - ago).Microseconds()) }
	}
	for _, tt := range []struct {
		name string
		unit []func(*Unit)
		want int64
	}{
		{"nobody knows the limit", []func(*Unit){before, starts(1)}, -1},
		{"there is none", []func(*Unit){limited(5, 0), before, starts(1)}, -1},
		{"the window never ends", []func(*Unit){limited(5, plan.Forever), before, starts(1)}, -1},
		{"it never started since the boot", []func(*Unit){five, before}, 0},
		{"four starts since the boot", []func(*Unit){five, before, starts(9, 6, 4, 1)}, 4},
		{"four starts after a pause", []func(*Unit){five, starts(100, 9, 6, 4, 1)}, 4},
		{"the first start that the history has", []func(*Unit){five, starts(9, 6, 4, 1)}, -1},
		{"it was seen long before that", []func(*Unit){five, seen(100), starts(9, 6, 4, 1)}, 4},
		{"it was seen just before that", []func(*Unit){five, seen(10), starts(9, 6, 4, 1)}, -1},
		{"the window is over, and the next start begins another one", []func(*Unit){five, before, starts(13, 12, 11)}, 0},
		{"the window ended between the starts", []func(*Unit){five, before, starts(13, 12, 2, 1)}, 2},
		{"as many as are allowed", []func(*Unit){five, before, starts(9, 8, 7, 6, 5)}, 5},
		{"more than are allowed, so systemd has forgotten some", []func(*Unit){five, before, starts(9, 8, 7, 6, 5, 4)}, -1},
		{"several in one record, in the window", []func(*Unit){five, before, starts(9), startsBy(5, many)}, 3},
		{"several in one record, which began a window", []func(*Unit){five, before, startsBy(5, many)}, -1},
		{"several in one record, long ago", []func(*Unit){five, before, startsBy(50, many), starts(2, 1)}, 2},
		{"something may be missing", []func(*Unit){five, before, starts(9), startsBy(5, store.Record{Kind: store.Stop, Flags: store.AtLeast, Boot: "b"})}, -1},
		{"something is missing, long ago", []func(*Unit){five, before, startsBy(50, store.Record{Kind: store.Many, Flags: store.Untold, Boot: "b", Delta: store.Counts{Starts: 7}}), starts(1)}, 1},
		{"nobody knows when one was", []func(*Unit){five, before, func(u *Unit) {
			u.Past.Add(&store.Record{Kind: store.Start, Time: noon, Delta: store.Counts{Starts: 1}}, noon)
		}, starts(1)}, -1},
		{"the last one is not in the history yet", []func(*Unit){five, before, starts(9), counted(1), begun(time.Second)}, 2},
		{"the only one is not in the history yet", []func(*Unit){five, before, counted(1), begun(time.Second)}, 1},
		{"several are not in the history yet", []func(*Unit){five, before, starts(9), counted(3), begun(time.Second)}, 4},
		{"neither is the crash that came then", []func(*Unit){five, before, startsBy(9, store.Record{Kind: store.Crash, Boot: "b", Delta: store.Counts{Starts: 1, Crashes: 1}, After: store.Counts{Crashes: 1}}), counted(1), begun(time.Second), func(u *Unit) {
			u.Crashes, u.LastCrash = 2, &count.Crash{Time: noon}
			u.CatchUp(noon)
		}}, 2},
		{"several are not in the history yet, but the window is over", []func(*Unit){five, before, starts(11), counted(3), begun(time.Second)}, -1},
		{"the history has more than was counted", []func(*Unit){five, before, starts(9), counted(^uint64(0))}, -1},
		{"a gap is open", []func(*Unit){five, before, starts(1), func(u *Unit) { u.Life.Opened = noon }}, -1},
		{"it crashes for weeks", []func(*Unit){five, before, func(u *Unit) {
			for i := range 1000 {
				starts(float64(3000 - 2*i))(u)
			}
		}}, -1},
	} {
		if got := asOf().used(unit("a.service", "activating", time.Second, tt.unit...)); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	old := asOf()
	old.AsOf = noon.Add(-time.Minute) // and what came since then nobody knows
	if got := old.used(unit("a.service", "activating", time.Second, five, before, starts(1))); got != -1 {
		t.Errorf("as of a minute ago: %d", got)
	}
}

// Restarts go on for ever if no window has room for one more than are allowed.
func TestEndless(t *testing.T) {
	for _, tt := range []struct {
		p    plan.Plan
		want bool
	}{
		{plan.Plan{Pause: 0, Burst: 5, Interval: 0}, true},
		{plan.Plan{Pause: 0, Burst: 0, Interval: time.Second}, true},
		{plan.Plan{Pause: 100 * time.Millisecond, Burst: 5, Interval: 10 * time.Second}, false},
		{plan.Plan{Pause: 2 * time.Second, Burst: 5, Interval: 10 * time.Second}, false}, // the last one is just in time
		{plan.Plan{Pause: 2*time.Second + 1, Burst: 5, Interval: 10 * time.Second}, true},
		{plan.Plan{Pause: plan.Forever, Burst: 5, Interval: 10 * time.Second}, true},
		{plan.Plan{Pause: time.Second, Burst: 5, Interval: plan.Forever}, false},
	} {
		if got := endless(&tt.p); got != tt.want {
			t.Errorf("%+v: %v", tt.p, got)
		}
	}
}

// plans returns a plan as systemd has it for most services.
func plans(active, sub, restart string, more ...func(*plan.Plan)) func(*Unit) {
	return func(u *Unit) {
		u.Life.SubState = sub
		u.Plan = &plan.Plan{
			Active: active, Sub: sub, Entered: uint64((time.Hour - 2*time.Second).Microseconds()), Restart: restart,
			Pause: 5 * time.Second, Delay: 5 * time.Second, Burst: 5, Interval: 10 * time.Minute,
		}
		for _, f := range more {
			f(u.Plan)
		}
	}
}

// TestNext wants status to say in a few words, and why in sentences, what systemd does next, and no more
// than that.
func TestNext(t *testing.T) {
	quick := func(p *plan.Plan) { p.Interval = 10 * time.Second }
	none := func(p *plan.Plan) { p.Interval = 0 }
	queued := func(p *plan.Plan) { p.Queued = true }
	never := func(p *plan.Plan) { p.Pause, p.Delay = plan.Forever, plan.Forever }
	late := func(p *plan.Plan) { p.Delay = time.Second }
	days := func(p *plan.Plan) { p.Delay = 50 * time.Hour }
	timer := func(p *plan.Plan) { p.TriggeredBy = []string{"a.timer"} }
	bySub := func(sub string) func(*Unit) { return func(u *Unit) { u.Life.SubState = sub } }
	reason := func(result string) func(*Unit) {
		return func(u *Unit) {
			u.Past.Add(&store.Record{Kind: store.GaveUp, Time: noon, Result: result, To: "failed"}, noon)
		}
	}
	once := crashed(1, 0, killed)
	before := startsBy(4000, store.Record{Kind: store.Start, Boot: "a", Delta: store.Counts{Starts: 1}})
	for _, tt := range []struct {
		name, state string
		unit        []func(*Unit)
		status, why string
	}{
		{"it waits", "activating", []func(*Unit){once, plans("activating", "auto-restart", "always")},
			"SIGKILL; next try 12:00:03", "systemd starts it again: next try 12:00:03, 5 s after it ended (RestartSec=). It gives up at more than 5 starts in 10m"},
		{"its restart is due", "activating", []func(*Unit){once, plans("activating", "auto-restart", "always", late, none)},
			"SIGKILL; next try now", "systemd starts it again: next try now, 1 s after it ended (RestartSec=). No start limit: it never gives up"},
		{"in two days", "activating", []func(*Unit){once, plans("activating", "auto-restart", "always", days, quick)},
			"SIGKILL; next try 2025-07-09 13:59", "systemd starts it again: next try 2025-07-09 13:59, 2d 2h after it ended (RestartSec=). Its start limit (5 in 10 s) allows that for ever: it does not give up"},
		{"the limit is near", "activating", []func(*Unit){once, before, starts(40, 30, 20, 10), plans("activating", "auto-restart", "always")},
			"SIGKILL; next try 12:00:03; 4 of 5 starts in 10m", "systemd starts it again: next try 12:00:03, 5 s after it ended (RestartSec=). Start limit near: 4 of 5 starts in 10m, then it gives up"},
		{"the limit is not near", "activating", []func(*Unit){once, before, starts(40), plans("activating", "auto-restart", "always")},
			"SIGKILL; next try 12:00:03", "systemd starts it again: next try 12:00:03, 5 s after it ended (RestartSec=). Start limit: 1 of 5 starts in 10m, then it gives up"},
		{"it loops", "activating", []func(*Unit){crashed(4, 17*time.Second, killed), plans("activating", "auto-restart", "always", quick)},
			"SIGKILL; 4 times since 11:59, every 17 s; next try 12:00:03", "systemd starts it again: next try 12:00:03, 5 s after it ended (RestartSec=). Its start limit (5 in 10 s) allows that for ever: it does not give up"},
		{"it loops, and the limit is near", "activating", []func(*Unit){crashed(4, 17*time.Second, killed), before, starts(51, 34, 17, 5), plans("activating", "auto-restart", "always")},
			"SIGKILL; 4 times since 11:59; next try 12:00:03; 4 of 5 starts in 10m", "systemd starts it again: next try 12:00:03, 5 s after it ended (RestartSec=). Start limit near: 4 of 5 starts in 10m, then it gives up"},
		{"it loops, and runs for a moment", "active", []func(*Unit){crashed(4, 17*time.Second, killed), plans("active", "running", "always", none)},
			"SIGKILL; 4 times since 11:59, every 17 s", "if it crashes, systemd starts it again after 5 s (Restart=always). No start limit: it never gives up"},
		{"its restart waits for its turn", "activating", []func(*Unit){once, plans("activating", "auto-restart", "always", queued)},
			"SIGKILL; systemd restarts it", "systemd starts it again as soon as what it waits for is done. It gives up at more than 5 starts in 10m"},
		{"the same on 257", "activating", []func(*Unit){once, plans("activating", "auto-restart-queued", "always", queued, none)},
			"SIGKILL; systemd restarts it", "systemd starts it again as soon as what it waits for is done. No start limit: it never gives up"},
		{"RestartSec=infinity", "activating", []func(*Unit){once, plans("activating", "auto-restart", "always", never)},
			"SIGKILL; RestartSec=infinity: it waits for ever", "nothing: it waits for ever (RestartSec=infinity)"},
		{"it waits, and systemd does not answer", "activating", []func(*Unit){once, retries, bySub("auto-restart")},
			"SIGKILL; systemd restarts it", "systemd starts it again"},
		{"systemd has restarted it meanwhile", "activating", []func(*Unit){once, plans("active", "running", "on-abort"), bySub("auto-restart")},
			"SIGKILL; systemd restarts it", "systemd starts it again after some crashes (Restart=on-abort)"},
		{"it ended well, and is restarted all the same", "activating", []func(*Unit){once, ended(store.Stop, "active", "success", 0), plans("activating", "auto-restart", "always", none)},
			"its last run ended well; next try 12:00:03", "systemd starts it again: next try 12:00:03, 5 s after it ended (RestartSec=). No start limit: it never gives up"},
		{"it ended well, has never crashed, and is restarted", "activating", []func(*Unit){ended(store.Stop, "active", "success", 0), bySub("auto-restart")},
			"its last run ended well; systemd restarts it", "systemd starts it again"},
		{"it starts", "activating", []func(*Unit){plans("activating", "start", "always")}, "", ""},
		{"it is down", "failed", []func(*Unit){once, plans("failed", "failed", "no")},
			"SIGKILL; Restart=no: down until somebody starts it", "nothing: Restart=no, so it is down until somebody starts it"},
		{"its timer may start it", "failed", []func(*Unit){once, plans("failed", "failed", "on-abort", timer)},
			"SIGKILL; Restart=on-abort: down until a.timer or somebody starts it", "nothing: Restart=on-abort does not cover how it ended, so it is down until a.timer or somebody starts it"},
		{"it is down, and systemd does not answer", "failed", []func(*Unit){once},
			"SIGKILL; down until somebody starts it", "nothing: it is down until somebody starts it"},
		{"it was given up", "failed", []func(*Unit){once, gaveUp, reason("start-limit-hit"), plans("failed", "failed", "always")},
			"SIGKILL; start limit hit (5 in 10m): down until somebody starts it", "nothing: start limit hit (5 in 10m): down until somebody starts it"},
		{"it was given up, and systemd does not answer", "failed", []func(*Unit){once, gaveUp, reason("start-limit-hit")},
			"SIGKILL; start limit hit: down until somebody starts it", "nothing: start limit hit: down until somebody starts it"},
		{"its restart failed", "failed", []func(*Unit){once, gaveUp, reason("resources")},
			"SIGKILL; its restart failed: down until somebody starts it", "nothing: its restart failed: down until somebody starts it"},
		{"its unit file is gone", "failed", []func(*Unit){once, gaveUp, reason("not-found")},
			"SIGKILL; its unit file is gone: down until somebody starts it", "nothing: its unit file is gone: down until somebody starts it"},
		{"the history has not why", "failed", []func(*Unit){once, gaveUp},
			"SIGKILL; systemd gave up: down until somebody starts it", "nothing: systemd gave up: down until somebody starts it"},
		{"a start was refused after runs that ended well", "failed", []func(*Unit){once, ended(store.Stop, "deactivating", "success", 0), hitLimit, reason("start-limit-hit"), plans("failed", "failed", "always", quick)},
			"its last run ended well; start limit hit (5 in 10 s): down until somebody starts it", "nothing: start limit hit (5 in 10 s): down until somebody starts it"},
		{"it was given up, but somebody has started it", "failed", []func(*Unit){once, gaveUp, plans("active", "running", "no")},
			"SIGKILL; systemd gave up: down until somebody starts it", "if it crashes, it stays down (Restart=no)"},
		{"it is down, and its start waits for its turn", "failed", []func(*Unit){once, plans("failed", "failed", "no", queued)},
			"SIGKILL; systemd is about to start it: its job waits for its turn", "systemd is about to start it: its job waits for its turn"},
		{"it was given up, and its next start waits for its turn", "failed", []func(*Unit){once, gaveUp, reason("start-limit-hit"), plans("failed", "failed", "always", queued)},
			"SIGKILL; systemd is about to start it: its job waits for its turn", "systemd is about to start it: its job waits for its turn"},
		{"it never ran, and its start waits for its turn", "inactive", []func(*Unit){plans("inactive", "dead", "always", queued)}, "systemd is about to start it: its job waits for its turn", "systemd is about to start it: its job waits for its turn"},
		{"it has crashed since, and its start waits for its turn", "active", []func(*Unit){plans("failed", "failed", "no", queued)}, "", "systemd is about to start it: its job waits for its turn"},
		{"it was stopped", "inactive", []func(*Unit){plans("inactive", "dead", "always", timer)}, "", "nothing: it is down until a.timer or somebody starts it"},
		{"it runs", "active", []func(*Unit){plans("active", "running", "on-failure", quick)},
			"", "if it crashes, systemd starts it again after 5 s (Restart=on-failure). Its start limit (5 in 10 s) allows that for ever: it does not give up"},
		{"it runs, with RestartSec=infinity", "active", []func(*Unit){plans("active", "running", "always", never)}, "", "if it crashes, it waits for ever (RestartSec=infinity)"},
		{"it runs, and systemd does not answer", "active", nil, "", ""},
		{"it is done", "active", []func(*Unit){plans("active", "exited", "no")}, "", ""},
		{"it is not there", decode.NotLoaded, nil, "systemd has no such unit; is monitored_services spelt right?", ""},
	} {
		s, u := asOf(), unit("a.service", tt.state, time.Second, tt.unit...)
		if got := s.explain(u, u.Health(noon), zone); got != tt.status {
			t.Errorf("%s: status says %q,\nwant %q", tt.name, got, tt.status)
		}
		if got := s.next(u, zone); got != tt.why {
			t.Errorf("%s: why says %q,\nwant %q", tt.name, got, tt.why)
		}
	}
}

// A service whose start waits for its turn is not given up, and why says nothing of how to start it.
func TestQueued(t *testing.T) {
	for _, tt := range []struct {
		name   string
		unit   []func(*Unit)
		health Health
		want   string
	}{
		{"it crashed", []func(*Unit){crashed(1, 0, killed)}, Failed, "a.service is down: it crashed, and systemd is about to start it\n"},
		{"it was given up", []func(*Unit){crashed(1, 0, killed), gaveUp}, Failed, "a.service is down: it crashed, and systemd is about to start it\n"},
		{"a start was refused", []func(*Unit){ended(store.Stop, "active", "success", 0), hitLimit}, Failed, "a.service is down: its last run ended well, and systemd is about to start it\n"},
	} {
		u := unit("a.service", "failed", time.Second, append(tt.unit, plans("failed", "failed", "no", func(p *plan.Plan) { p.Queued = true }))...)
		var b bytes.Buffer
		(&Why{Status: asOf(), Unit: u}).Write(&b, Screen{Width: 140, Zone: zone})
		if h := u.Health(noon); h != tt.health || !strings.HasPrefix(b.String(), tt.want) || strings.Contains(b.String(), "To start it") {
			t.Errorf("%s: %s\n%s", tt.name, h, &b)
		}
	}
}

// A service that waits for ever for its restart needs somebody, as if systemd did not restart it at all. A start
// would only wait for that restart, too.
func TestForever(t *testing.T) {
	never := func(p *plan.Plan) { p.Pause, p.Delay = plan.Forever, plan.Forever }
	queued := func(p *plan.Plan) { p.Queued = true }
	for _, tt := range []struct {
		name, state string
		unit        []func(*Unit)
		want        Health
	}{
		{"it crashed", "activating", []func(*Unit){crashed(1, 0, killed), plans("activating", autoRestart, "always", never)}, Failed},
		{"it crashed again and again", "activating", []func(*Unit){crashed(3, 0, killed), plans("activating", autoRestart, "always", never)}, Failed},
		{"it is restarted by hand", "activating", []func(*Unit){crashed(1, 0, killed), plans("activating", autoRestart, "always", never, queued)}, Starting},
		{"it waits for a while", "activating", []func(*Unit){crashed(1, 0, killed), plans("activating", autoRestart, "always")}, Starting},
		{"it runs", "active", []func(*Unit){crashed(1, 0, killed), plans("active", "running", "always", never)}, Running},
		{"it is restarted meanwhile", "active", []func(*Unit){crashed(1, 0, killed), plans("activating", autoRestart, "always", never)}, Running},
	} {
		u := unit("a.service", tt.state, time.Second, tt.unit...)
		if got := u.Health(noon); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if !u.Asks(noon) && tt.want == Failed {
			t.Errorf("%s: nobody asks systemd again", tt.name)
		}
		s := asOf()
		s.Units = []*Unit{u}
		var b bytes.Buffer
		(&Why{Status: s, Unit: u}).Write(&b, Screen{Width: 140, Zone: zone})
		says := strings.HasPrefix(b.String(), "a.service is down: it crashed, and systemd does not restart it\n") &&
			strings.Contains(b.String(), "What next nothing: it waits for ever (RestartSec=infinity)\n") && strings.Contains(b.String(), "    systemctl restart a.service\n")
		if says != (tt.want == Failed) || (s.Attention() > 0) != says {
			t.Errorf("%s: %d need attention\n%s", tt.name, s.Attention(), &b)
		}
	}
}

// Whatever is known has a key, and what is not known has none.
func TestNextJSON(t *testing.T) {
	before := startsBy(4000, store.Record{Kind: store.Start, Boot: "a", Delta: store.Counts{Starts: 1}})
	limit := func(u *Unit) {
		u.Past.Add(&store.Record{Kind: store.GaveUp, Time: noon, Result: "start-limit-hit", To: "failed"}, noon)
	}
	forever := func(p *plan.Plan) { p.Delay, p.Interval = plan.Forever, plan.Forever }
	for _, tt := range []struct {
		name string
		u    *Unit
		want string
	}{
		{"it waits", unit("a", "activating", 0, before, starts(60, 30), plans("activating", "auto-restart", "always", func(p *plan.Plan) { p.TriggeredBy = []string{"a.timer"} })),
			`"retrying":true,"gave_up":false,"restart":"always","restart_seconds":5,"next_try_at":"2025-07-07T12:00:03+02:00","next_try_seconds":3,` +
				`"start_limit_burst":5,"start_limit_interval_seconds":600,"start_limit_used":2,"triggered_by":["a.timer"]}`},
		{"its restart is due", unit("a", "activating", 0, plans("activating", "auto-restart", "always", func(p *plan.Plan) { p.Delay, p.Burst = 0, 0 })),
			`"retrying":true,"gave_up":false,"restart":"always","restart_seconds":0,"next_try_at":"2025-07-07T11:59:58+02:00","next_try_seconds":0,"start_limit_burst":0}`},
		{"infinity", unit("a", "activating", 0, plans("activating", "auto-restart", "always", forever)), `"retrying":true,"gave_up":false,"restart":"always","start_limit_burst":5}`},
		{"a start was refused", unit("a", "failed", 0, hitLimit, limit), `"retrying":false,"gave_up":true,"gave_up_because":"start-limit-hit"}`},
		{"systemd does not answer", unit("a", "failed", 0, gaveUp, limit), `"retrying":false,"gave_up":true,"gave_up_because":"start-limit-hit"}`},
	} {
		text, err := json.Marshal(asOf().unitJSON(tt.u, Availability{Day: -1, Between: -1, Repair: -1}))
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(string(text), `"crashes_24h":0,`); got != tt.want {
			t.Errorf("%s: %s,\nwant %s", tt.name, got, tt.want)
		}
	}
}

// If more units need attention than systemd is asked about, that is said.
func TestAsked(t *testing.T) {
	for asked, want := range map[int]bool{4: false, 3: true} {
		s := gatewayStatus()
		s.ToAsk, s.Asked = 4, asked
		var b bytes.Buffer
		s.Write(&b, Screen{Width: 80, Zone: zone})
		if said := strings.Contains(b.String(), "\nWhat systemd does next is known for the first 3 of 4 services.\n"); said != want {
			t.Errorf("asked about %d of 4:\n%s", asked, b.String())
		}
	}
}
