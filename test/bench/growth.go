package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"service-monitor/test/bench/proc"
	"service-monitor/test/bench/publish"
)

// Of growth, one thing is fixed while the other grows.
const (
	fixedRate  = 1000 // events per second
	fixedUnits = 12
)

// growth measures how cost grows with the number of watched units, and with that of
// events: an event is a change, announced by two signals. Where one contestant
// cannot follow, the others still do.
func (b *bench) growth(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	var errs []error
	try := func(c contestant, n, rate int, load string, grown int) {
		if ctx.Err() != nil {
			return
		}
		if err := b.grow(ctx, s, c, n, rate, b.reporter(load, fmt.Sprint(grown), c)); err != nil {
			errs = append(errs, fmt.Errorf("%s with %d: %w", load, grown, err))
		}
	}
	for round := range b.plan.growRounds {
		for _, c := range b.turns(round) {
			if c.polls {
				continue // it costs what there is to list, whatever happens
			}
			for _, n := range b.plan.growUnits {
				try(c, n, fixedRate, loadUnits, n)
			}
			for _, rate := range b.plan.growRates {
				try(c, fixedUnits, rate, loadRates, rate)
			}
		}
	}
	return errors.Join(errs...)
}

// grow publishes events at a steady rate.
func (b *bench) grow(ctx context.Context, s *site, c contestant, n, rate int, report func(string, float64)) error {
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
	rest := proc.MemoryOf(r.Pid)
	w, err := r.watch("bench-")
	if err != nil {
		return err
	}
	before, busBefore := r.CPU(), proc.CPU(st.pid())
	// At a low rate it takes longer to see some starts, of which a restart has one.
	span := max(b.plan.grow, time.Duration(3*st.systemd.Events())*time.Second/time.Duration(rate))
	paced, cancel := context.WithTimeout(ctx, span)
	sent, err := st.systemd.Pace(paced, time.Second/time.Duration(rate))
	cancel()
	if err != nil {
		return err
	}
	entered := st.systemd.Entered()
	if err := st.systemd.Finish(); err != nil {
		return err
	}
	if err := r.awaitStart(ctx, publish.Last, func() {}); err != nil {
		return err
	}
	events := float64(sent) / 2
	report(cpuPerEvent, milliseconds(r.CPU()-before)/events)
	report(busCPU, milliseconds(proc.CPU(st.pid())-busBefore)/events)
	report(ready, milliseconds(r.ready))
	report(rss, rest.Resident/1e6)
	report(anonymous, rest.Anonymous/1e6)
	told := w.stop()
	return reportLatency(told[:max(0, len(told)-1)], entered, report) // the last is Last's
}
