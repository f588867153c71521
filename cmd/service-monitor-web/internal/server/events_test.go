package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"service-monitor/cmd/internal/view"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// A client hears of each event once and in order, whatever ends meanwhile: its stream, the monitor, or the
// server. Some events the feed never tells, because it has ended before.
func TestEachEventOnce(t *testing.T) {
	g := newGateway(t, "a.service", "b.service")
	g.start()
	g.serve()
	g.crash(true, "a.service")
	for g.status().Seq == 0 {
	}
	c := g.follow("?after=" + fmt.Sprint(g.status().Seq))
	n := 1
	g.crash(true, "a.service", "b.service")
	n = c.want(n)
	c.drop <- struct{}{} // the link is lost
	g.crash(true, "a.service")
	n = c.want(n)
	g.crash(false, "b.service") // the monitor ends before the feed tells this one
	g.stopMonitor()
	n = c.want(n)
	g.start()
	g.crash(true, "a.service")
	n = c.want(n)
	g.stopServer()
	g.crash(true, "b.service", "b.service")
	g.serve()
	n = c.want(n)
	g.stopServer()
	g.stopMonitor()
	g.start()
	g.crash(true, "a.service")
	g.serve()
	g.crash(true, "b.service")
	n = c.want(n)
	g.stopServer()
	for range 300 { // more than is read at once
		g.crash(false, "a.service")
	}
	g.serve()
	n = c.want(n)
	if s := g.status(); s.Seq != g.seqs[n-1] || len(s.Units) != 2 {
		t.Errorf("%+v", s)
	}
}

// Several events of one record are told once each, too, if the stream ends between them.
func TestEachOfOneRecord(t *testing.T) {
	g := newGateway(t, "a.service")
	g.start()
	g.serve()
	g.crash(true, "a.service")
	many := store.Record{Kind: store.Many, Unit: "a.service", Time: g.units["a.service"].LastCrash.Time, Delta: store.Counts{Starts: 2, Crashes: 2, Restarts: 2}, After: store.Counts{Starts: 4, Crashes: 3, Restarts: 2}}
	g.write(true, many)
	g.crash(true, "a.service")
	seq := g.seqs[1]
	for after, want := range map[string][]string{
		fmt.Sprint(g.seqs[0]):    {"start", "crash", "restart"},
		fmt.Sprint(seq-1) + ".1": {"crash", "restart"},
		fmt.Sprint(seq-1) + ".2": {"restart"},
		fmt.Sprint(seq):          {},
	} {
		c := g.follow("?after=" + after)
		for i, kind := range append(want, "crash") {
			e := c.next(view.Told, view.Reset)
			id := fmt.Sprintf("%d.%d", seq-1, 3-len(want)+i+1)
			if i == len(want)-1 {
				id = fmt.Sprint(seq)
			} else if i == len(want) {
				id = fmt.Sprint(g.seqs[2])
			}
			if !strings.Contains(e.data, `"kind":"`+kind+`"`) || e.id != id {
				t.Errorf("after %s: %+v, want %s with %s", after, e, kind, id)
			}
		}
		c.leave()
	}
}

// If the history does not have what a client has missed, the client loads everything anew.
func TestReset(t *testing.T) {
	g := newGateway(t, "a.service")
	g.start()
	g.serve()
	first := g.follow("?after=0")
	g.crash(true, "a.service", "a.service")
	first.want(0)
	for _, after := range []string{"?after=1", "?after=" + fmt.Sprint(g.seqs[1]+1), "?after=" + fmt.Sprint(g.seqs[0]-1), "?after=" + fmt.Sprint(g.seqs[1]) + ".1"} {
		c := g.follow(after)
		if e := c.next(view.Told, view.Reset); e.kind != view.Reset || e.id != fmt.Sprint(g.seqs[1]) {
			t.Errorf("%s: %+v", after, e)
		}
		c.leave()
	}
	// What a browser says of itself may be anything.
	c := &client{g: g, last: "nonsense", events: make(chan told, 10), drop: make(chan struct{})}
	go c.once(t.Context())
	if e := c.next(view.Told, view.Reset); e.kind != view.Reset {
		t.Errorf("%+v", e)
	}
	// Somebody removes the history while nobody listens.
	g.stopMonitor()
	if err := store.Remove(chronicle.Beside(g.config.State.File)); err != nil {
		t.Fatal(err)
	}
	g.start()
	g.crash(true, "a.service")
	// In the same second, the new history has the numbers of the old one.
	if e := c.next(view.Told, view.Reset); e.kind != view.Reset && !strings.Contains(e.data, fmt.Sprintf(`"seq":%d,`, g.seqs[2])) {
		t.Errorf("%+v", e)
	}
}

// A monitor without a history has ended the history for a while, and the next one goes on with it. What was told
// before is not told again.
func TestEndedForAWhile(t *testing.T) {
	g := newGateway(t, "a.service")
	g.start()
	g.serve()
	c := g.follow("?after=0")
	g.crash(true, "a.service", "a.service")
	c.want(0)
	g.stopMonitor()
	if err := store.End(chronicle.Beside(g.config.State.File)); err != nil {
		t.Fatal(err)
	}
	g.start()
	for g.status().Seq != 0 || !g.status().Monitor.Connected {
	}
	g.crash(true, "a.service")
	if e := c.next(view.Told, view.Reset); e.kind != view.Told || e.id != fmt.Sprint(g.seqs[2]) {
		t.Errorf("%+v, want the event %d", e, g.seqs[2])
	}
}

// Whoever comes back is told which units have changed and which are gone.
func TestChangedMeanwhile(t *testing.T) {
	g := newGateway(t, "a.service", "b.service", "c.service")
	g.start()
	g.serve()
	g.crash(true, "a.service")
	for g.status().Seq == 0 {
	}
	before := fmt.Sprint(g.status().Seq)
	g.stopServer()
	g.crash(true, "b.service")
	g.write(true, store.Record{Kind: store.Forgotten, Unit: "c.service", Time: g.units["b.service"].LastCrash.Time})
	g.stopMonitor()
	delete(g.units, "c.service")
	g.start()
	g.serve()
	c := g.follow("?after=" + before)
	c.want(1)
	seen := map[string]bool{}
	for !seen["gone c"] || !seen["unit b"] || !seen["monitor"] {
		switch e := c.next(view.Gone, view.Changed, view.Monitor); e.kind {
		case view.Gone:
			seen["gone c"] = e.data == `{"unit":"c.service"}`
		case view.Changed:
			seen["unit b"] = seen["unit b"] || strings.Contains(e.data, `"unit":"b.service"`) && strings.Contains(e.data, `"crashes":1`)
		case view.Monitor:
			seen["monitor"] = strings.Contains(e.data, `"connected":true`)
		}
	}
}

// A client that comes back is told each unit that has changed meanwhile, whatever it has missed last.
func TestComesBack(t *testing.T) {
	g := newGateway(t, "a.service", "b.service", "c.service")
	g.start()
	g.serve()
	g.crash(true, "c.service")
	for g.status().Seq == 0 {
	}
	before := fmt.Sprint(g.status().Seq)
	other := g.follow("")
	other.next(view.Monitor) // it has joined
	g.crash(true, "a.service")
	other.next(view.Told)
	g.crash(true, "b.service")
	other.next(view.Told)
	c := g.follow("?after=" + before)
	for seen := map[string]bool{}; !seen["a.service"] || !seen["b.service"]; {
		var u struct{ Unit string }
		if err := json.Unmarshal([]byte(c.next(view.Changed).data), &u); err != nil {
			t.Fatal(err)
		}
		seen[u.Unit] = true
	}
}

// The page says when the monitor is away or in trouble, and goes on by itself.
func TestMonitorAway(t *testing.T) {
	g := newGateway(t, "a.service")
	g.serve()
	s := g.status() // there is no monitor yet, and none of its files
	if s.Monitor.Running || s.Monitor.Connected || len(s.Units) != 0 || !strings.Contains(strings.Join(s.Monitor.Troubles, "; "), "systemctl start service-monitor") {
		t.Errorf("%+v", s)
	}
	c := g.follow("")
	c.next(view.Monitor)
	for range 2 {
		g.start()
		g.crash(true, "a.service")
		for !strings.Contains(c.next(view.Monitor).data, `"connected":true`) {
		}
		if s := g.status(); !s.Monitor.Running || !s.Monitor.Connected || len(s.Units) != 1 || len(s.Monitor.Troubles) != 0 {
			t.Errorf("%+v", s)
		}
		g.feed.Troubles([]string{"bus lost since 12:00:07"})
		for !strings.Contains(c.next(view.Monitor).data, `"troubles":["bus lost since 12:00:07"]`) {
		}
		g.feed.Troubles(nil)
		for !strings.Contains(c.next(view.Monitor).data, `"troubles":[]`) {
		}
		g.stopMonitor()
		for !strings.Contains(c.next(view.Monitor).data, `"connected":false`) {
		}
	}
}

// No counter of a unit is told while the monitor catches up after it was killed: it told a higher one before.
func TestCatchingUp(t *testing.T) {
	g := newGateway(t, "a.service", "b.service")
	const series = `service_monitor_unit_crashes_total{name="a.service"} `
	g.catchingUp = true
	g.start()
	g.serve()
	for !g.status().Monitor.Connected {
	}
	if all := g.get(http.StatusOK, "/metrics"); strings.Contains(all, series) || !strings.Contains(all, "service_monitor_unit_at_least{") {
		t.Errorf("it has not caught up: %s", all)
	}
	g.crash(true, "a.service")
	g.crash(true, "b.service") // so the one before has reached the feed
	g.feed.CaughtUp()
	var all string
	for !strings.Contains(all, series) {
		all = g.get(http.StatusOK, "/metrics")
	}
	if !strings.Contains(all, series+"1\n") {
		t.Errorf("it has caught up: %s", all)
	}
}

// A monitor with another state file is not the one that was asked for.
func TestOtherMonitor(t *testing.T) {
	g := newGateway(t, "a.service")
	g.start()
	other := g.config.State.File
	g.config.State.File = filepath.Join(t.TempDir(), "other")
	g.serve()
	s := g.status()
	if s.Monitor.Connected || len(s.Units) != 0 || !strings.Contains(strings.Join(s.Monitor.Troubles, "; "), "has another state file than "+g.config.State.File+"; name that with --persistence-file") {
		t.Errorf("%+v, and not %s", s, other)
	}
}

// Who may not read the files is told so, in words. Root may read everything, so it tests this in a process
// that has lost that right.
func TestNoRights(t *testing.T) {
	const lost = "-dac_override,-dac_read_search"
	if os.Geteuid() == 0 && os.Getenv("NO_RIGHTS") == "" {
		cmd := exec.Command("setpriv", "--bounding-set", lost, "--inh-caps", lost, os.Args[0], "-test.run", "^TestNoRights$")
		cmd.Env = append(os.Environ(), "NO_RIGHTS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	g := newGateway(t, "a.service")
	g.start()
	g.crash(true, "a.service")
	g.stopMonitor()
	chmod(t, chronicle.Beside(g.config.State.File), 0)
	g.serve()
	if s := g.status(); !strings.Contains(strings.Join(s.Monitor.Troubles, "; "), "member of the group service-monitor") {
		t.Errorf("%+v", s)
	}
	g.get(http.StatusServiceUnavailable, "/api/history")
}
