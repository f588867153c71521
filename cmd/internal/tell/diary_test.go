package tell

import (
	"time"

	"service-monitor/stages/chronicle/store"
)

const (
	gateway = "wirepas-gateway.service"
	sink    = "wirepas-sink@ttyUSB1.service"
	broker  = "mosquitto.service"
)

var zone = time.FixedZone("", 2*60*60)

// A diary makes records as the chronicle does.
type diary struct {
	records []store.Record
	now     time.Time
	counts  map[string]store.Counts
	boot    string
	uptime  time.Duration
}

func newDiary() *diary {
	return &diary{now: time.Date(2025, 7, 7, 11, 50, 0, 0, zone), counts: map[string]store.Counts{}, boot: "b", uptime: time.Hour}
}

func (d *diary) later(t time.Duration) *diary {
	d.now, d.uptime = d.now.Add(t), d.uptime+t
	return d
}

func (d *diary) add(unit string, k store.Kind, more ...func(*store.Record)) *diary {
	r := store.Record{Seq: uint64(len(d.records) + 1), Kind: k, Time: d.now, Unit: unit, Boot: d.boot, Monotonic: uint64(d.uptime.Microseconds())}
	for _, f := range more {
		f(&r)
	}
	if r.Kind != store.Many {
		r.Delta = store.Single(r.Kind, r.Flags)
	}
	d.counts[unit] = d.counts[unit].Plus(r.Delta)
	r.After = d.counts[unit]
	d.records = append(d.records, r)
	return d
}

func result(result string, code, status int32) func(*store.Record) {
	return func(r *store.Record) { r.Result, r.Code, r.Status = result, code, status }
}

func flag(f store.Flags) func(*store.Record) { return func(r *store.Record) { r.Flags |= f } }

func says(to string) func(*store.Record) { return func(r *store.Record) { r.To = to } }

// closed makes a record of a gap that is closed now.
func closed(opened time.Time, d *diary) func(*store.Record) {
	return func(r *store.Record) { r.To, r.Time, r.Until = store.GapClosed, opened, d.now }
}

// set makes a record of a clock that was set.
func set(from, to time.Time) func(*store.Record) {
	return func(r *store.Record) {
		r.From, r.To = from.UTC().Format(time.RFC3339Nano), to.Format(time.RFC3339Nano)
	}
}

var (
	success = result("success", 1, 0)
	segv    = result("core-dump", 3, 11)
	exec    = result("exit-code", 1, 203)
	R       = flag(store.Recovered)
)

// night is what happened in a night.
func night() *diary {
	d := newDiary()
	d.add("", store.Monitor, says("started"))
	for _, unit := range []string{gateway, sink, broker} {
		d.add(unit, store.Seen)
	}
	d.add(gateway, store.Start).add(broker, store.Start)
	d.later(3*time.Minute+4*time.Second).add(sink, store.Start)
	for i := range 6 {
		if i > 0 {
			d.add(sink, store.Restart).add(sink, store.Start)
		}
		d.later(2*time.Millisecond).add(sink, store.Crash, exec).later(200 * time.Millisecond)
	}
	d.add(sink, store.Restart).add(sink, store.GaveUp, result("start-limit-hit", 0, 0))
	d.later(10*time.Minute).add(broker, store.Stop, success).later(time.Second).add(broker, store.Start)
	d.later(time.Hour).add("", store.Monitor, says("stopped"))
	d.later(27*time.Second).add(broker, store.Crash, R, result("oom-kill", 2, 9)).later(100*time.Millisecond).add(broker, store.Restart, R).add(broker, store.Start, R)
	d.later(69*time.Second).add("", store.Monitor, says("started"))
	opened := d.later(10 * time.Minute).now
	d.add("", store.Gap, says(store.GapOpened)).later(2*time.Minute).add("", store.Gap, closed(opened, d))
	d.later(3*time.Minute).add("", store.Clock, set(d.now.Add(-7*time.Second), d.now))
	d.later(15*time.Minute).add(gateway, store.Crash, segv)
	for range 5 {
		d.later(5*time.Second).add(gateway, store.Restart).add(gateway, store.Start).later(12*time.Second).add(gateway, store.Crash, segv)
	}
	d.later(17*time.Second).add(gateway, store.Many, segv, func(r *store.Record) {
		r.Until, r.Delta = r.Time.Add(33*time.Minute), store.Counts{Crashes: 125, Starts: 125, Restarts: 125}
	}).later(33 * time.Minute)
	d.later(12*time.Hour).add(broker, store.Stop, success)
	return d
}
