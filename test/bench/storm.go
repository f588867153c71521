package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"service-monitor/test/bench/proc"
	"service-monitor/test/bench/publish"
)

// recorded is a recording of the restart that is published. It is from systemd 252.
const recorded = "test/e2e/testdata/recordings/252/restart.gz"

// benchUnits returns n services that only a publisher has.
func benchUnits(n int) []string {
	units := make([]string, n)
	for i := range units {
		units[i] = fmt.Sprintf("bench-%d.service", i)
	}
	return units
}

// A stage is a private bus with a publisher on it.
type stage struct {
	*privateBus
	systemd *publish.Systemd
	units   []string // those to watch
}

// stage sets up a bus with a publisher. One of the n services is the one that starts at the end.
func (s *site) stage(n int) (*stage, error) {
	script, err := publish.Load(recorded)
	if err != nil {
		return nil, err
	}
	bus, err := s.bus()
	if err != nil {
		return nil, err
	}
	units := benchUnits(n - 1)
	systemd, err := publish.Start(bus.socket, script, units)
	if err != nil {
		bus.close()
		return nil, err
	}
	return &stage{bus, systemd, append(units, publish.Last)}, nil
}

func (st *stage) close() {
	st.systemd.Close()
	st.privateBus.close()
}

// storm is load 2. It sends so many signals of n services as fast as the bus takes them. So many
// readers listen to the feed of the daemon, but read nothing.
func (s *site) storm(ctx context.Context, c contestant, n, signals, readers int, report func(string, float64)) error {
	// What journald has not yet written of the run before does not belong to this one.
	if _, err := s.Run(ctx, "journalctl", "--sync"); err != nil {
		return err
	}
	st, err := s.stage(n)
	if err != nil {
		return err
	}
	defer st.close()
	r, err := s.launch(c, st.units, launchOptions{bus: st.address})
	if err != nil {
		return err
	}
	defer r.Stop()
	stuck, err := r.listen(readers)
	if err != nil {
		return err
	}
	defer stuck.close()
	journald := proc.Named(s.Leader(), "systemd-journal")
	busBefore, journalBefore := proc.CPU(st.pid()), proc.CPU(journald)
	begun, peak := time.Now(), r.peak()
	sent, err := st.systemd.Storm(signals)
	if err != nil {
		return err
	}
	if err := st.systemd.Finish(); err != nil {
		return err
	}
	published := time.Now()
	if err := r.awaitStart(ctx, publish.Last); err != nil {
		return err
	}
	over := time.Now()
	memory, anonymousPeak := proc.MemoryOf(r.Pid), peak()
	bus, busMemory := proc.CPU(st.pid())-busBefore, proc.MemoryOf(st.pid())
	spent := r.end()
	per := func(d time.Duration) float64 { return d.Seconds() * 10000 / float64(sent) }
	report(cpuPerSignals, per(spent.all()))
	report(childCPU, per(spent.children))
	report(busCPU, per(bus))
	report(journalCPU, per(proc.CPU(journald)-journalBefore))
	report(signalRate, float64(sent)/over.Sub(begun).Seconds())
	report(peakRSS, memory.Peak/1e6)
	report(peakAnonymous, anonymousPeak/1e6)
	report(busPeak, busMemory.Peak/1e6)
	report(drained, milliseconds(over.Sub(published)))
	report(lost, float64(r.missed(st.systemd)))
	report(gaps, float64(strings.Count(r.log(), "fell behind")+strings.Count(r.log(), "too much waits")))
	return nil
}

// missed returns by how much a contestant differs from what was published. It compares the counts of
// the daemon, and the number of lines of other contestants.
func (r *run) missed(systemd *publish.Systemd) int {
	if r.of.counts {
		return r.miscounted(systemd.Restarts())
	}
	changes, touched := systemd.Changes()
	lines := strings.Count(r.log(), "\n")
	return abs(changes + touched - lines) // each service also has a line about its first state
}

// miscounted adds up by how much the counts in the state file are off. Each restart is a stop and a
// start. But the service that did not run before has only a start.
func (r *run) miscounted(restarts map[string]int) (off int) {
	var state map[string]struct{ Starts, Stops, Crashes int }
	text, err := os.ReadFile(r.file(stateName))
	if err != nil || json.Unmarshal(text, &state) != nil {
		return len(restarts)
	}
	for unit, n := range restarts {
		stops := n
		if unit == publish.Last {
			stops = 0
		}
		off += abs(state[unit].Starts-n) + abs(state[unit].Stops-stops) + state[unit].Crashes
	}
	return off
}

func abs(n int) int { return max(n, -n) }

// storms runs load 2.
func (b *bench) storms(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, n := range b.plan.sizes {
		of := fmt.Sprintf("%d signals of %d services", b.plan.signals, n)
		for round := range b.plan.storms.all {
			for _, c := range b.turns(loadStorm, round, b.plan.storms) {
				if err := c.tolerate(s.storm(ctx, c, n, b.plan.signals, 0, b.reporter(loadStorm, of, c))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
