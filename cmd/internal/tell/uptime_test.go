package tell

import (
	"testing"
	"time"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
)

const hour = uint64(time.Hour / time.Microsecond)

// TestAvailability computes the example of service-monitor(8).
func TestAvailability(t *testing.T) {
	const boot, before = "b", "a"
	clock := func() *Clock { return &Clock{Now: noon, Boot: boot, Since: 50 * hour} }
	end := func(ago, up time.Duration) store.Record {
		return store.Record{Kind: store.Crash, Time: noon.Add(-ago), Boot: boot, Monotonic: 50*hour - uint64(ago.Microseconds()), Up: up, Delta: store.Counts{Crashes: 1}}
	}
	start := func(ago, down time.Duration) store.Record {
		r := end(ago, 0)
		r.Kind, r.Down, r.Delta = store.Start, down, store.Counts{Starts: 1}
		return r
	}
	running := func(ago time.Duration) chronicle.Span {
		return chronicle.Span{Phase: count.Up, Boot: boot, Clock: 50*hour - uint64(ago.Microseconds())}
	}
	in1970 := func(r store.Record) store.Record {
		r.Time, r.Flags = time.Unix(100, 0), store.Untrusted
		return r
	}
	elsewhere := func(r store.Record, at time.Time) store.Record {
		r.Boot, r.Time = before, at
		return r
	}
	many := store.Record{
		Kind: store.Many, Time: noon.Add(-2 * time.Hour), Until: noon.Add(-time.Hour), Boot: boot, Monotonic: 49 * hour,
		Up: 45 * time.Minute, Down: 15 * time.Minute, Delta: store.Counts{Starts: 60, Crashes: 60, Restarts: 60},
	}
	old := many
	old.Time, old.Until, old.Monotonic = noon.Add(-24*time.Hour-30*time.Minute), noon.Add(-23*time.Hour-30*time.Minute), 26*hour+hour/2
	unknown := Availability{Day: -1, Down: -1, Between: -1, Repair: -1}
	for _, tt := range []struct {
		name    string
		records []store.Record
		span    chronicle.Span
		asOf    time.Duration
		want    Availability
	}{
		{"nothing", nil, chronicle.Span{}, 0, unknown},
		{"it runs since it is watched", nil, running(time.Hour), 0, Availability{1, 0, -1, -1}},
		{"the example", []store.Record{end(6*time.Hour, 30*time.Hour), start(5*time.Hour, time.Hour)}, running(5 * time.Hour), 0, Availability{23. / 24, time.Hour, 35 * time.Hour, time.Hour}},
		{"stopped for most of the day", []store.Record{end(3*time.Hour, time.Hour), start(2*time.Hour, time.Hour), {Kind: store.Stop, Time: noon.Add(-time.Hour), Boot: boot, Monotonic: 49 * hour, Up: time.Hour}}, chronicle.Span{}, 0, Availability{2. / 3, time.Hour, 2 * time.Hour, time.Hour}},
		{"down until now", []store.Record{end(time.Hour, 3*time.Hour)}, chronicle.Span{Phase: count.Down, Boot: boot, Clock: 49 * hour}, 0, Availability{.75, time.Hour, 3 * time.Hour, -1}},
		{"what was two days ago is no part of the day", []store.Record{end(40*time.Hour, time.Hour), start(39*time.Hour, time.Hour), end(38*time.Hour, time.Hour)}, chronicle.Span{}, 0, Availability{-1, -1, time.Hour, time.Hour}},
		{"together", []store.Record{many}, chronicle.Span{}, 0, Availability{.75, 15 * time.Minute, 45 * time.Second, 15 * time.Second}},
		{"together, and the day begins in the middle", []store.Record{old}, chronicle.Span{}, 0, Availability{.75, 15 * time.Minute / 2, 45 * time.Second, 15 * time.Second}},
		{"the monitor ended an hour ago", []store.Record{end(3*time.Hour, time.Hour), start(2*time.Hour, time.Hour)}, running(2 * time.Hour), time.Hour, Availability{2. / 3, time.Hour, 2 * time.Hour, time.Hour}},
		{"the clock was in 1970", []store.Record{in1970(end(3*time.Hour, 3*time.Hour)), in1970(start(2*time.Hour, time.Hour))}, running(2 * time.Hour), 0, Availability{5. / 6, time.Hour, 5 * time.Hour, time.Hour}},
		{"it was in 1970 in a boot before, and was set in it", []store.Record{in1970(elsewhere(end(48*time.Hour, 3*time.Hour), noon)), elsewhere(start(47*time.Hour, time.Hour), noon.Add(-9*time.Hour))}, chronicle.Span{}, 0, Availability{.75, time.Hour, 3 * time.Hour, time.Hour}},
		{"it was never set in the boot before", []store.Record{in1970(elsewhere(end(48*time.Hour, 3*time.Hour), noon))}, chronicle.Span{}, 0, Availability{-1, -1, 3 * time.Hour, -1}},
		{"counted while the history was not written", []store.Record{{Kind: store.Many, Flags: store.Untold, Time: noon, Until: noon, Delta: store.Counts{Crashes: 5}}}, chronicle.Span{}, 0, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, u := clock(), Uptime{}
			for _, r := range tt.records {
				c.Add(&r)
				u.add(&r)
			}
			if got := u.Availability(tt.span, c, tt.asOf); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPercent(t *testing.T) {
	for part, want := range map[float64]string{-1: "–", 0: "0.00%", .5: "50.00%", .99999: "99.99%", 1: "100.00%"} {
		if got := percent(part); got != want {
			t.Errorf("%v: %s, want %s", part, got, want)
		}
	}
}
