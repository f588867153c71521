package chronicle

import (
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

// step is how far the wall clock may be off without a record. A leap second is not worth one, and
// many small steps in one direction are one record in the end.
const step = time.Second

// moment returns the moment of a time that this process has read, by both clocks. Go reads both at
// once. So it does no harm if the process was stopped since then.
func (s *Stage) moment(t time.Time) count.Moment {
	clock := int64(s.clock()) - time.Since(t).Microseconds()
	return count.Moment{Time: t.Round(0), Clock: uint64(max(0, clock)), Boot: s.boot}
}

// compare records that the wall clock was set, if it was since both clocks were compared last. It
// is called only when something is written anyway: a monitor at rest does not wake up for a clock.
func (s *Stage) compare(now time.Time) {
	m := s.moment(now)
	if s.right.Time.IsZero() {
		s.right = m
		return
	}
	from := s.right.Time.Add(time.Duration(int64(m.Clock)-int64(s.right.Clock)) * time.Microsecond)
	if m.Time.Sub(from).Abs() <= step || !s.own.spend(now) {
		return
	}
	s.right = m
	s.add(store.Record{Kind: store.Clock, Time: zone.Local(m.Time), Monotonic: m.Clock, Boot: s.boot, From: stamp(from), To: stamp(m.Time)}, now)
}

// since compares the clocks with those of the last record of an earlier process. If that was in
// another boot, they say nothing: a reboot sets no clock.
func (s *Stage) since(last *store.Record, now time.Time) {
	if s.boot == "" || last.Boot != s.boot || last.Monotonic == 0 {
		return
	}
	s.right = count.Moment{Time: last.Time, Clock: last.Monotonic, Boot: s.boot}
	s.compare(now)
}

// stamp returns a time as text, to the millisecond.
func stamp(t time.Time) string {
	return zone.Local(t).Round(time.Millisecond).Format(time.RFC3339Nano)
}
