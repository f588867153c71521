// Package plan asks systemd what it is going to do with units. The monitor itself does not ask: its
// commands do, for a person who waits.
package plan

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/bus/wire"
)

// Forever is a time that systemd calls infinity.
const Forever = time.Duration(math.MaxInt64)

// A Plan is how a unit is at a moment, and what systemd has been told to do about that
// (org.freedesktop.systemd1(5)).
type Plan struct {
	Active, Sub string
	// Entered is when the unit entered this state, in µs of CLOCK_MONOTONIC.
	Entered uint64
	// Queued is true if a job of the unit waits or runs.
	Queued bool
	// Restart is Restart=, and Pause is RestartSec=.
	Restart string
	Pause   time.Duration
	// Delay is how long the unit waits for its next restart. It is longer than Pause after several
	// restarts if RestartSteps= says so (systemd 254 or newer).
	Delay time.Duration
	// Burst is how many starts the start limit allows in Interval. There is none if one of the two is 0.
	Burst    uint32
	Interval time.Duration
	// TriggeredBy are the units that may start this one, such as its timer.
	TriggeredBy []string
}

// Limited reports whether there is a start limit.
func (p *Plan) Limited() bool { return p.Burst > 0 && p.Interval > 0 }

// Ask returns the plans of units, as far as systemd tells them within a time. Anybody may ask. It costs
// PID 1 about 0.4 ms a unit.
func Ask(within time.Duration, units []string) map[string]Plan {
	plans := map[string]Plan{}
	if len(units) == 0 {
		return plans
	}
	late := time.After(within)
	bus, err := link.OpenWithin(within, func([]byte) (string, bool) { return "", false }, isWanted, new(atomic.Uint64))
	if err != nil {
		return plans // there is nobody to ask
	}
	defer bus.Close()
	asked := map[uint32]string{}
	for _, unit := range units {
		// Without an interface they are the properties of all interfaces, of one moment.
		serial, err := bus.Call(link.Systemd, watch.Escape(unit), link.Properties, "GetAll", "")
		if err != nil {
			return plans
		}
		asked[serial] = unit
	}
	for len(asked) > 0 {
		select {
		case <-bus.Ready():
		case <-late:
			return plans
		}
		items, _ := bus.Get()
		for _, it := range items {
			if it.Kind == link.Lost {
				return plans
			}
			unit, ours := asked[it.Serial]
			if !ours || it.Kind != link.Reply {
				continue
			}
			if it.Err == nil && !it.Nobody {
				if p, ok := read(it.Body, it.Order); ok {
					plans[unit] = p
				}
			}
			delete(asked, it.Serial)
		}
	}
	return plans
}

// wanted are the properties that are read.
var wanted = map[string]bool{
	"ActiveState": true, "SubState": true, "StateChangeTimestampMonotonic": true, "Job": true, "Restart": true, "RestartUSec": true,
	"RestartUSecNext": true, "StartLimitBurst": true, "StartLimitIntervalUSec": true, "TriggeredBy": true,
}

func isWanted(property []byte) bool { return wanted[string(property)] }

// read reads an a{sv} of these properties. What is missing, or has another type than it has in systemd,
// is zero. It reports whether the rest is well-formed, and the unit has a state.
func read(body []byte, order binary.ByteOrder) (p Plan, ok bool) {
	r := wire.NewReader(body, order)
	p.Delay = -1
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		switch name, sig := r.String(), r.Variant(); string(name) + " " + string(sig) {
		case "ActiveState s":
			p.Active = string(r.String())
		case "SubState s":
			p.Sub = string(r.String())
		case "StateChangeTimestampMonotonic t":
			p.Entered = r.Uint64()
		case "Job (uo)":
			r.Align(8)
			p.Queued = r.Uint32() != 0
			r.String() // its path
		case "Restart s":
			p.Restart = string(r.String())
		case "RestartUSec t":
			p.Pause = long(r.Uint64())
		case "RestartUSecNext t":
			p.Delay = long(r.Uint64())
		case "StartLimitBurst u":
			p.Burst = r.Uint32()
		case "StartLimitIntervalUSec t":
			p.Interval = long(r.Uint64())
		case "TriggeredBy as":
			for end := r.Array(4); r.More(end); {
				p.TriggeredBy = append(p.TriggeredBy, string(r.String()))
			}
		default:
			r.Skip(sig)
		}
	}
	if p.Delay < 0 { // before 254 there is no other one
		p.Delay = p.Pause
	}
	return p, r.Done() && p.Active != ""
}

// long returns a number of µs as a duration.
func long(n uint64) time.Duration {
	if n > uint64(Forever/time.Microsecond) {
		return Forever
	}
	return time.Duration(n) * time.Microsecond
}
