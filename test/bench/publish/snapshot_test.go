package publish

import (
	"encoding/binary"
	"testing"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	states "service-monitor/stages/decode"
)

// The daemon must accept the snapshots of the publisher. If it refused them, it would first see each
// unit at its first change, and miss an end.
func TestSnapshotIsTaken(t *testing.T) {
	script, err := Load(recorded)
	if err != nil {
		t.Fatal(err)
	}
	const name = "a.service"
	body := newPrefix(script.snapshot).of(&service{name: name, state: "active", sub: "running", entered: 7})
	g := pipeline.New(nil)
	signals := pipeline.Source(g, "play", pipelinetest.Play(bus.Signal{Kind: bus.Snapshot, Unit: name, Body: body, Order: binary.LittleEndian}))
	var got []states.Update
	pipeline.Sink(g, "collect", pipeline.Add(g, "decode", signals, states.New(logrus.New())), pipelinetest.Collect(&got))
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].ActiveState != "active" || got[0].Entered != 7 || got[0].LoadState != "loaded" {
		t.Errorf("got %+v", got)
	}
}
