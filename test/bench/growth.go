package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"service-monitor/test/bench/proc"
	"service-monitor/test/bench/publish"
)

// The loads of growth keep one of these fixed while the other grows.
const (
	fixedRate  = 1000 // events per second
	fixedUnits = 12
	// Up to slowRate the processor is idle enough for the contestants to run side by side.
	slowRate = 10
)

// growth measures how the cost grows with the number of watched units, and with the rate of
// events. An event is a change, which two signals announce. If one contestant cannot follow, the
// others are measured all the same.
func (b *bench) growth(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	var errs []error
	for round := range b.plan.grows.all {
		for _, c := range b.turns(loadUnits, round, b.plan.grows) {
			errs = append(errs, b.growUnits(ctx, s, c))
		}
		for _, rate := range b.plan.growRates {
			if rate != fixedRate { // fixedRate was measured with the units
				errs = append(errs, b.growRate(ctx, s, round, rate))
			}
		}
	}
	return errors.Join(errs...)
}

// growUnits watches more and more units. It compares the cost of the most units with
// the cost of the fewest, in the same round.
func (b *bench) growUnits(ctx context.Context, s *site, c contestant) error {
	var all []growing
	var errs []error
	for _, n := range b.plan.growUnits {
		g, err := b.grow(ctx, s, c, n, fixedRate)
		if err != nil {
			errs = append(errs, fmt.Errorf("%d units: %w", n, err))
			continue
		}
		g.tell(b.reporter(loadUnits, fmt.Sprint(n), c), true)
		if n == fixedUnits {
			g.tell(b.reporter(loadRates, fmt.Sprint(fixedRate), c), false)
		}
		all = append(all, g)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	few, many := all[0], all[len(all)-1]
	report := b.reporter(loadGrown, fmt.Sprintf("%d to %d units", few.units, many.units), c)
	report(rssPerUnit, (many.memory.Resident-few.memory.Resident)/float64(many.units-few.units))
	report(cpuGrowth, float64(many.cost.all())/many.events/(float64(few.cost.all())/few.events))
	if few, many := few.late(), many.late(); few.known && many.known {
		report(latencyGrowth, many.p50/few.p50)
	}
	return nil
}

// growRate raises the rate of events. At low rates all contestants run side by side,
// each with its own bus.
func (b *bench) growRate(ctx context.Context, s *site, round, rate int) error {
	one := func(c contestant) func(*bench) error {
		return func(b *bench) error {
			g, err := b.grow(ctx, s, c, fixedUnits, rate)
			if err != nil {
				return fmt.Errorf("%d events a second: %w", rate, err)
			}
			g.tell(b.reporter(loadRates, fmt.Sprint(rate), c), false)
			return nil
		}
	}
	var errs []error
	var all []func(*bench) error
	for _, c := range b.turns(loadRates, round, b.plan.grows) {
		if rate <= slowRate {
			all = append(all, one(c))
		} else {
			errs = append(errs, one(c)(b))
		}
	}
	return errors.Join(append(errs, b.together(all...))...)
}

// A growing is the cost of one number of units or one rate of events.
type growing struct {
	units         int
	events        float64
	cost          cost
	stop          cost // including the save that was still due
	bus           time.Duration
	ready         time.Duration
	memory        proc.Memory
	told, entered []time.Duration
}

// grow publishes events at a steady rate. There is a save every ten seconds at most, so the
// cost of a save is measured apart, at the stop.
func (b *bench) grow(ctx context.Context, s *site, c contestant, n, rate int) (growing, error) {
	g := growing{units: n}
	st, err := s.stage(n)
	if err != nil {
		return g, err
	}
	defer st.close()
	r, err := s.launch(c, st.units, launchOptions{bus: st.address})
	if err != nil {
		return g, err
	}
	defer r.Stop()
	if g.ready = r.ready; rate == fixedRate {
		if g.memory, err = r.rested(ctx, b.plan.still); err != nil {
			return g, err
		}
	}
	w, err := r.watch("bench-")
	if err != nil {
		return g, err
	}
	before, busBefore := r.cost(), proc.CPU(st.pid())
	// At a low rate it takes longer to see some starts, because a restart has only one.
	span := max(b.plan.grow, time.Duration(3*st.systemd.Events())*time.Second/time.Duration(rate))
	paced, cancel := context.WithTimeout(ctx, span)
	sent, err := st.systemd.Pace(paced, time.Second/time.Duration(rate))
	cancel()
	if err != nil {
		return g, err
	}
	g.entered = st.systemd.Entered()
	if err := st.systemd.Finish(); err != nil {
		return g, err
	}
	if err := r.awaitStart(ctx, publish.Last); err != nil {
		return g, err
	}
	g.events, g.cost, g.bus = float64(sent)/2, r.cost().minus(before), proc.CPU(st.pid())-busBefore
	told := w.stop()
	g.told = told[:max(0, len(told)-1)] // the last one is the start of Last
	spent := r.cost().minus(r.began)
	g.stop = r.end().minus(spent)
	return g, nil
}

func (g *growing) tell(report func(string, float64), ofUnits bool) {
	report(cpuPerEvent, milliseconds(g.cost.all())/g.events)
	report(busCPU, milliseconds(g.bus)/g.events)
	report(cpuToStop, milliseconds(g.stop.all()))
	if ofUnits {
		report(ready, milliseconds(g.ready))
		report(rss, g.memory.Resident/1e6)
		report(anonymous, g.memory.Anonymous/1e6)
	}
	g.late().tell(report)
}

func (g *growing) late() lateness { return newLateness(g.told, g.entered) }
