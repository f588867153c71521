package main

import (
	"cmp"
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/tell"
	"service-monitor/pipeline"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/bus"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/logsink"
	"service-monitor/stages/logsink/logfile"
	"service-monitor/stages/persist"
)

// graph wires the whole pipeline:
//
//	config ─lists─▶ bus ─signals─▶ decode ─updates─▶ classify ─transitions─▶ count ─events─┬─(latest)─▶ persist
//	                 ▲                                  │                                  ├─(latest)─▶ blackbox
//	                 │                                  │                                  ├─(latest)─▶ feed ◀─(cut)─┐
//	                 └──────────────doubts──────────────┘                                  ├──────────▶ chronicle ─records
//	                                                                                       └──────────▶ logsink
//
// If the changes of a unit do not show what happened, classify sends a doubt to bus, and bus
// reads the answer from the journal. graph runs nothing yet.
func (m *monitor) graph(state persist.Store, known map[string]*count.Tally, n pipeline.Notifier) *pipeline.Graph {
	g := pipeline.New(n)
	c := m.running.Config

	lists := pipeline.Source(g, "config", newReloader(m))
	source := bus.New(m.log, places(known), c.Bus.MaxRetries, c.Bus.AuditInterval)
	if m.lost {
		source.ReadBack()
	}
	signals := pipeline.Add(g, "bus", lists, source)
	decoder := decode.New(m.log)
	updates := pipeline.Add(g, "decode", signals, decoder)
	transitions := pipeline.Add(g, "classify", updates, classify.New(lives(known), source.Doubt))
	keeper := count.New(m.log, known, count.Now())
	events := pipeline.Add(g, "count", transitions, keeper)

	// No event may be lost. But persist needs only the newest tally of each unit, so a slow
	// disk under the state file holds nothing up.
	saver := persist.New(m.log, state, known, c.State.Quiet, c.State.Deadline)
	pipeline.Sink(g, "persist", pipeline.Latest(g, events, unitOf), saver)
	chronicler := chronicle.New(m.log, m.openHistory(), known)
	chronicler.Outlast(saver)
	history := pipeline.Add(g, "chronicle", events, chronicler)

	// The black box needs only the last crash of each unit.
	boxes := blackbox.Beside(chronicle.Beside(c.State.File))
	keeps := blackbox.New(m.log, boxes, c.Crashes.Lines, records.LastWords, known)
	keeps.Meter(&m.written.blackbox)
	pipeline.Sink(g, "blackbox", pipeline.Latest(g, events, unitOf), keeps)

	// The feed tells how the units are now, and each event once it is on the disk. If the feed is
	// too slow, its listeners read in the chronicle what they have missed.
	news := pipeline.Beside(pipeline.Cut(history, feed.Backlog, func(int) {}))
	about := feed.Monitor{Version: version, State: c.State.File, Since: time.Now(), CatchingUp: true}
	teller := feed.New(m.log, c.Feed.Socket, about, known, news, tell.WriteJSON)
	pipeline.Sink(g, "feed", pipeline.Latest(g, events, unitOf), teller)
	teller.Outlast(saver.Ended())
	tellHealth(g, source, teller)

	// Go first runs the goroutine that was woken last. So the last sink writes its line first.
	file := logfile.New(c.Log.File, m.lock)
	file.Meter(&m.written.log)
	lines := logsink.New(logsink.Config{
		File:      file,
		Journal:   m.journal,
		Console:   m.console,
		Notes:     m.notes,
		Debug:     func() bool { return m.log.IsLevelEnabled(logrus.DebugLevel) },
		Summary:   c.Log.StatsInterval,
		FoldAfter: c.Log.FoldAfter,
		Quote:     quote,
	})
	pipeline.Sink(g, "logsink", events, lines)
	teller.Count((&counting{g, source, decoder, keeper, saver, lines, &m.written}).counters)
	return g
}

// tellHealth has the feed tell what is wrong, and when the counts have caught up. READY=1 is not enough for
// that: the journal may not be readable yet, and then the counts may be lower than what was told before a kill.
// The graph calls both functions from one goroutine.
func tellHealth(g *pipeline.Graph, source *bus.Stage, teller *feed.Stage) {
	ready := false
	caughtUp := func() {
		if ready && !source.Counts().GapOpen {
			teller.CaughtUp()
		}
	}
	g.TellTroubles(func(troubles []string) { teller.Troubles(troubles); caughtUp() })
	g.TellReady(func() { ready = true; caughtUp() })
}

func unitOf(e count.Event) string { return e.Unit }

// places returns for each unit from where in the journal to read.
func places(known map[string]*count.Tally) map[string]bus.Known {
	places := make(map[string]bus.Known, len(known))
	for unit, tally := range known {
		places[unit] = bus.Known{}
		if l := tally.Life; l != nil {
			places[unit] = bus.Known{Name: l.Name, Cursor: l.Cursor}
		}
	}
	return places
}

func lives(known map[string]*count.Tally) map[string]*classify.Life {
	lives := make(map[string]*classify.Life, len(known))
	for unit, tally := range known {
		lives[unit] = tally.Life
	}
	return lives
}

// quote returns the message of systemd about a restart that failed.
func quote(ctx context.Context, e *count.Event) string {
	return records.Refusal(ctx, cmp.Or(e.Life.Name, e.Unit), records.Invocation(e.Invocation))
}
