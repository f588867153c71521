package main

import (
	"service-monitor/pipeline"
	"service-monitor/stages/bus"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
	"service-monitor/stages/files"
	"service-monitor/stages/logsink"
	"service-monitor/stages/persist"
)

// written has for each file how many bytes were written.
type written struct{ state, log, history, blackbox files.Meter }

// counting are the parts of the pipeline that count what the monitor itself does. Their counts may be
// read at any time.
type counting struct {
	graph   *pipeline.Graph
	source  *bus.Stage
	decoder *decode.Stage
	keeper  *count.Stage
	saver   *persist.Stage
	lines   *logsink.Stage
	written *written
}

// counters returns the present counters for the feed.
func (c *counting) counters() *feed.Counters {
	source := c.source.Counts()
	return &feed.Counters{
		Connected: source.Connected, Reconnects: source.Reconnects,
		Received: source.Received, Refused: source.Refused + c.decoder.Refused(),
		Recovered: c.keeper.Recovered(), Gaps: source.Gaps, GapOpen: source.GapOpen,
		SaveFailures: c.saver.Failures(), LogFailures: c.lines.Failures(), Stalls: c.graph.Stalls(),
		Written: map[string]uint64{
			"state": c.written.state.Bytes(), "log": c.written.log.Bytes(), "history": c.written.history.Bytes(), "blackbox": c.written.blackbox.Bytes(),
		},
		ClockTrusted: c.keeper.ClockTrusted(),
	}
}
