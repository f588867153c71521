package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"service-monitor/test/bench/result"
	"service-monitor/test/fakebus"
)

const (
	pulseUnit  = "pulse.service"
	pulseEvery = 50 * time.Millisecond
)

// latency runs load 4.
func (b *bench) latency(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, map[string]string{pulseUnit: staysUnit, lastUnit: staysUnit})
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := s.pulse(ctx)
	if err != nil {
		return err
	}
	defer p.conn.Close()
	for round := range b.plan.pulses.all {
		for _, c := range b.turns(loadLatency, round, b.plan.pulses) {
			if err := b.beat(ctx, s, p, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// beat restarts a unit for a while. It compares the times at which PID 1 says that the unit
// started with the times at which the lines came.
func (b *bench) beat(ctx context.Context, s *site, p *pulse, c contestant) error {
	r, err := s.launch(c, []string{pulseUnit, lastUnit}, launchOptions{})
	if err != nil {
		return err
	}
	defer r.Stop()
	// Some contestants do not ask for the state at the start. They do not log the first change as one.
	if err := p.restart(ctx); err != nil {
		return err
	}
	if err := errors.Join(r.awaitRestart(ctx, pulseUnit), p.await(ctx)); err != nil {
		return err
	}
	w, err := r.watch(pulseUnit)
	if err != nil {
		return err
	}
	err = p.beat(ctx, b.plan.pulse)
	if err == nil {
		err = sleep(ctx, time.Second) // far more than any line takes
	}
	told, entered := w.stop(), p.take()
	if err != nil {
		return err
	}
	newLateness(told, entered).tell(b.reporter(loadLatency, "one service", c))
	return nil
}

// A lateness is how long after the starts their lines came, in ms.
type lateness struct {
	lost          int
	known         bool // false if a line is missing, because nobody knows which
	p50, p99, max float64
}

// newLateness compares starts and their lines, which come in the same order.
func newLateness(told, entered []time.Duration) lateness {
	l := lateness{lost: abs(len(entered) - len(told)), known: len(told) > 0 && len(told) == len(entered)}
	if !l.known {
		return l
	}
	var late []float64
	for i := range told {
		late = append(late, milliseconds(told[i]-entered[i]))
	}
	l.p50, l.p99, l.max = result.Quantile(late, 0.5), result.Quantile(late, 0.99), slices.Max(late)
	return l
}

func (l lateness) tell(report func(string, float64)) {
	report(lost, float64(l.lost))
	if l.known {
		report(latency50, l.p50)
		report(latency99, l.p99)
		report(latencyMax, l.max)
	}
}

// A pulse restarts a unit and notes when PID 1 says that it started.
type pulse struct {
	conn *dbus.Conn

	mu      sync.Mutex
	entered []time.Duration
	state   string
}

// pulse connects to the machine's bus.
func (s *site) pulse(ctx context.Context) (*pulse, error) {
	conn, err := dbus.Connect("unix:path="+s.root+"/run/dbus/system_bus_socket", dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("cannot reach the machine's bus: %w", err)
	}
	p := &pulse{conn: conn}
	signals := make(chan *dbus.Signal, 1024)
	conn.Signal(signals)
	go p.follow(signals)
	path := dbus.ObjectPath(fakebus.Path(pulseUnit))
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(path), dbus.WithMatchMember("PropertiesChanged")); err != nil {
		return nil, err
	}
	return p, p.manager().CallWithContext(ctx, managerInterface+".Subscribe", 0).Err
}

const managerInterface = "org.freedesktop.systemd1.Manager"

func (p *pulse) manager() dbus.BusObject {
	return p.conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
}

func (p *pulse) restart(ctx context.Context) error {
	return p.manager().CallWithContext(ctx, managerInterface+".RestartUnit", 0, pulseUnit, "replace").Err
}

// beat restarts the unit every 50 ms.
func (p *pulse) beat(ctx context.Context, span time.Duration) error {
	next := time.NewTicker(pulseEvery)
	defer next.Stop()
	for range int(span / pulseEvery) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		}
		if err := p.restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *pulse) follow(signals <-chan *dbus.Signal) {
	for s := range signals {
		if s.Path != dbus.ObjectPath(fakebus.Path(pulseUnit)) {
			continue // the bus sends it to every client
		}
		properties, _ := s.Body[1].(map[string]dbus.Variant)
		state, isUnitHalf := properties["ActiveState"].Value().(string)
		if !isUnitHalf {
			continue
		}
		entered, _ := properties["StateChangeTimestampMonotonic"].Value().(uint64)
		p.mu.Lock()
		if state == "active" && p.state != "active" {
			p.entered = append(p.entered, time.Duration(entered)*time.Microsecond)
		}
		p.state = state
		p.mu.Unlock()
	}
}

// await waits for a start and discards it.
func (p *pulse) await(ctx context.Context) error {
	for len(p.take()) == 0 {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// take returns what was noted since it was called last.
func (p *pulse) take() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	entered := p.entered
	p.entered = nil
	return entered
}
