// Package plan asks systemd what it is going to do with units. The monitor itself does not ask: its
// commands do, for a person who waits.
package plan

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
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

// Ask returns the plans of units, as far as systemd tells them before ctx is done. Anybody may ask. It
// costs PID 1 about 0.4 ms a unit.
func Ask(ctx context.Context, units []string) map[string]Plan {
	plans := map[string]Plan{}
	if len(units) == 0 {
		return plans
	}
	bus, err := connect(ctx)
	if err != nil {
		return plans // there is nobody to ask
	}
	defer bus.Close()
	calls := make(chan *dbus.Call, len(units))
	asked := map[*dbus.Call]string{}
	for _, unit := range units {
		// Without an interface they are the properties of all interfaces, of one moment.
		object := bus.Object(link.Systemd, dbus.ObjectPath(watch.Escape(unit)))
		asked[object.GoWithContext(ctx, link.Properties+".GetAll", dbus.FlagNoAutoStart, calls, "")] = unit
	}
	for range units {
		select {
		case call := <-calls:
			var properties map[string]dbus.Variant
			if call.Store(&properties) == nil {
				plans[asked[call]] = read(properties)
			}
		case <-ctx.Done():
			return plans
		}
	}
	return plans
}

// connect connects to the system bus. The connection ends with ctx at the latest.
func connect(ctx context.Context) (*dbus.Conn, error) {
	address, err := link.Address()
	if err != nil {
		return nil, err
	}
	socket, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the system bus: %w", err)
	}
	context.AfterFunc(ctx, func() { socket.Close() }) // whatever waits for the bus then ends
	bus, err := dbus.NewConn(socket)
	if err != nil {
		socket.Close()
		return nil, err
	}
	if err = bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err == nil {
		err = bus.Hello()
	}
	if err != nil {
		bus.Close()
		return nil, fmt.Errorf("cannot authenticate at the system bus: %w", err)
	}
	return bus, nil
}

// read reads properties. What is missing, or has another type, is zero.
func read(properties map[string]dbus.Variant) (p Plan) {
	p.Active, _ = properties["ActiveState"].Value().(string)
	p.Sub, _ = properties["SubState"].Value().(string)
	p.Entered, _ = properties["StateChangeTimestampMonotonic"].Value().(uint64)
	p.Restart, _ = properties["Restart"].Value().(string)
	p.Burst, _ = properties["StartLimitBurst"].Value().(uint32)
	p.TriggeredBy, _ = properties["TriggeredBy"].Value().([]string)
	p.Interval = long(properties["StartLimitIntervalUSec"])
	p.Pause = long(properties["RestartUSec"])
	p.Delay = p.Pause
	if next, ok := properties["RestartUSecNext"]; ok {
		p.Delay = long(next)
	}
	if job, _ := properties["Job"].Value().([]any); len(job) > 0 {
		id, _ := job[0].(uint32)
		p.Queued = id != 0
	}
	return p
}

// long returns a number of µs as a duration.
func long(v dbus.Variant) time.Duration {
	n, _ := v.Value().(uint64)
	if n > uint64(Forever/time.Microsecond) {
		return Forever
	}
	return time.Duration(n) * time.Microsecond
}
