package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
	"service-monitor/stages/zone"
)

// A gateway has the store and the feed of a monitor, and a follower.
type gateway struct {
	t           *testing.T
	config      config.Config
	crashes     int64
	out, errs   *bufio.Scanner
	interrupt   func()
	ended       chan error
	at          time.Time
	stdout      *io.PipeWriter
	disk        *store.Store
	tell        chan store.Record
	stopMonitor func()
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{t: t, config: config.Default(), ended: make(chan error, 1), at: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)}
	g.config.State.File = filepath.Join(t.TempDir(), "state")
	g.config.Feed.Socket = filepath.Join(t.TempDir(), "feed")
	return g
}

// follow starts a follower.
func (g *gateway) follow(q tell.Query, asJSON bool) {
	ctx, cancel := context.WithCancel(g.t.Context())
	g.interrupt = cancel
	var stderr *io.PipeWriter
	g.out, g.stdout = pipe()
	g.errs, stderr = pipe()
	if q.Wanted == nil {
		q.Wanted = func(string) bool { return true }
	}
	r := &historyReader{dir: chronicle.Beside(g.config.State.File), q: q, asJSON: asJSON, stdout: g.stdout, h: tell.NewHistory(q)}
	f := &follower{historyReader: r, config: g.config, stderr: stderr}
	go func() {
		err := f.run(ctx)
		g.stdout.Close()
		stderr.Close()
		g.ended <- err
	}()
}

func pipe() (*bufio.Scanner, *io.PipeWriter) {
	r, w := io.Pipe()
	return bufio.NewScanner(r), w
}

// start starts the monitor.
func (g *gateway) start() {
	g.t.Helper()
	var err error
	if g.disk, _, err = store.Open(chronicle.Beside(g.config.State.File), store.Smallest, func(*store.Record) {}); err != nil {
		g.t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	g.tell = make(chan store.Record)
	ready := pipelinetest.NewNotifier(0)
	p := pipeline.New(ready)
	records := pipeline.Beside(pipeline.Cut(pipeline.Source(p, "records", pipelinetest.Feed(g.tell)), feed.Backlog, func(int) {}))
	pipeline.Sink(p, "feed", pipeline.Source(p, "events", pipelinetest.Feed[count.Event](nil)),
		feed.New(log, g.config.Feed.Socket, feed.Monitor{State: g.config.State.File}, nil, records, tell.WriteJSON))
	ctx, cancel := context.WithCancel(g.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	g.stopMonitor = func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
		g.disk.Close()
	}
	ready.Await("READY=1")
}

// crash puts a crash of each unit into the store. If told, the feed gets them, too.
func (g *gateway) crash(told bool, units ...string) {
	g.t.Helper()
	var records []store.Record
	for _, unit := range units {
		g.crashes++
		g.at = g.at.Add(time.Minute)
		records = append(records, store.Record{Kind: store.Crash, Time: g.at, Unit: unit, Result: "signal", Code: 2, Status: 9,
			Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: g.crashes}})
	}
	if _, err := g.disk.Append(records); err != nil {
		g.t.Fatal(err)
	}
	for _, r := range records {
		if told {
			g.tell <- r
		}
	}
}

// itself puts records about the monitor itself into the store, and tells them.
func (g *gateway) itself(records ...store.Record) {
	g.t.Helper()
	if _, err := g.disk.Append(records); err != nil {
		g.t.Fatal(err)
	}
	for _, r := range records {
		g.tell <- r
	}
}

// want reads a line for each word. The line must have the word.
func (g *gateway) want(lines *bufio.Scanner, words ...string) {
	g.t.Helper()
	for _, word := range words {
		if !lines.Scan() || !strings.Contains(lines.Text(), word) {
			g.t.Fatalf("%q, want %q", lines.Text(), word)
		}
	}
}

// wantEnd interrupts the follower. There must be no more output.
func (g *gateway) wantEnd() {
	g.t.Helper()
	g.interrupt()
	if g.out.Scan() || g.errs.Scan() {
		g.t.Errorf("%q, %q", g.out.Text(), g.errs.Text())
	}
	if err := <-g.ended; err != nil {
		g.t.Error(err)
	}
}

func crashOf(unit string, n int) string { return fmt.Sprintf("%s crash %d", unit, n) }

// The monitor is stopped and started while somebody follows. Each event is shown once: those that
// were there, those that the feed has not told, and those that came while there was no feed.
func TestFollowHistory(t *testing.T) {
	g := newGateway(t)
	g.follow(tell.Query{Last: 2}, false)
	g.want(g.errs, "does not run; waiting for it") // there is no history either
	g.start()
	g.crash(true, "a.service")
	g.want(g.out, "-- Fri 2026-11-27", crashOf("a", 1))
	g.crash(true, "a.service", "a.service", "b.service")
	g.want(g.out, crashOf("a", 2), crashOf("a", 3), crashOf("b", 4))
	g.crash(false, "a.service") // the feed does not tell this one
	g.crash(true, "a.service")
	g.want(g.out, crashOf("a", 5), crashOf("a", 6))
	g.crash(false, "a.service") // the monitor ends before the feed tells this one
	g.stopMonitor()
	g.want(g.out, crashOf("a", 7))
	g.want(g.errs, "does not run; waiting for it")
	g.start()
	g.crash(true, "b.service")
	g.want(g.out, crashOf("b", 8))
	g.wantEnd()

	// Another follower comes.
	g.follow(tell.Query{Last: 2}, false)
	g.want(g.out, "-- Fri 2026-11-27", "a crash ×5", crashOf("b", 8))
	g.crash(true, "a.service")
	g.want(g.out, crashOf("a", 9))
	g.wantEnd()
	g.stopMonitor()
}

func TestFollowAsJSON(t *testing.T) {
	g := newGateway(t)
	g.start()
	g.crash(true, "a.service", "b.service", "a.service")
	g.follow(tell.Query{Last: 1, Crashes: true, Wanted: func(unit string) bool { return unit == "a.service" }}, true)
	g.want(g.out, `"crashes":3`)
	g.crash(true, "b.service", "a.service")
	g.want(g.out, `"unit":"a.service","kind":"crash","result":"signal"`)
	g.wantEnd()
	g.stopMonitor()
}

// What the monitor tells of itself is shown to whoever follows, also if only one unit is asked for.
func TestFollowMonitor(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		g := newGateway(t)
		g.start()
		g.crash(true, "a.service")
		g.follow(tell.Query{Wanted: func(unit string) bool { return unit == "a.service" }}, asJSON)
		at := func(seconds int) string {
			return zone.Local(g.at.Add(time.Duration(seconds) * time.Second)).Format(time.TimeOnly)
		}
		words := []string{"journal unreadable since " + at(0), "journal unreadable " + at(0) + " to " + at(9) + " (9 s)", "the clock was set from " + at(-50) + " to " + at(10) + " (60 s forward)"}
		if asJSON {
			g.want(g.out, `"kind":"crash"`)
			words = []string{`"kind":"gap","to":"opened","count":1`, `"until":"2026-11-27T10:01:09Z","kind":"gap","to":"closed","count":1`, `"kind":"clock","from":"2026-11-27T10:00:10Z","to":"2026-11-27T10:01:10Z","count":1`}
		} else {
			g.want(g.out, "-- Fri 2026-11-27", crashOf("a", 1))
		}
		to := g.at.Add(10 * time.Second)
		g.itself(store.Record{Kind: store.Gap, Time: g.at, To: store.GapOpened})
		g.want(g.out, words[0])
		g.itself(store.Record{Kind: store.Gap, Time: g.at, Until: g.at.Add(9 * time.Second), To: store.GapClosed},
			store.Record{Kind: store.Clock, Time: to, From: to.Add(-time.Minute).Format(time.RFC3339), To: to.Format(time.RFC3339)})
		g.want(g.out, words[1:]...)
		g.wantEnd()
		g.stopMonitor()
	}
}

// If another monitor is at the socket, or if there is nothing to follow, that is an error. Nobody
// waits then.
func TestFollowNothing(t *testing.T) {
	g := newGateway(t)
	g.start()
	g.config.State.File += ".other"
	g.follow(tell.Query{}, false)
	if err := <-g.ended; err == nil || !strings.Contains(err.Error(), "another state file") {
		t.Error(err)
	}
	g.stopMonitor()
	g.config.History.Size = 0
	if err := followHistory(nil, g.config); err == nil || !strings.Contains(err.Error(), "history_size is 0") {
		t.Error(err)
	}
}

// If nobody reads the output any more, the follower ends.
func TestFollowIntoNothing(t *testing.T) {
	g := newGateway(t)
	g.start()
	g.follow(tell.Query{}, false)
	g.crash(true, "a.service")
	g.want(g.out, "-- Fri 2026-11-27", crashOf("a", 1))
	g.stdout.CloseWithError(io.ErrClosedPipe)
	g.crash(true, "a.service")
	if err := <-g.ended; !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	g.stopMonitor()
}

// Without other options, --follow begins with the last ten lines, and not with the whole history.
// It has no --until.
func TestFollowQuery(t *testing.T) {
	for args, want := range map[string]int{"": 0, "-f": 10, "--follow -n 3": 3, "-f --since 2h": 0, "-f --since -2h": 0, "-f --until 2h": -1} {
		line, err := parse(append([]string{"history"}, strings.Fields(args)...), absent)
		if err != nil {
			t.Fatal(err)
		}
		q, err := query(line)
		if errors.Is(err, config.ErrUsage) {
			q.Last = -1
		}
		if q.Last != want {
			t.Errorf("%q: the last %d lines, %v; want %d", args, q.Last, err, want)
		}
	}
}
