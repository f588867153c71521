package chronicle

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// A moment is a record at a second of a boot. up and down are how long the span was that ended
// then.
type moment struct {
	kind     store.Kind
	second   uint64
	boot     string
	flags    store.Flags
	up, down time.Duration
}

func TestSpans(t *testing.T) {
	const boot, next = "a", "b"
	wall := time.Unix(1750000000, 0)
	for _, tt := range []struct {
		name    string
		from    Span
		moments []moment
	}{
		{"a crash, a restart, a stop", Span{}, []moment{
			{store.Start, 10, boot, 0, 0, 0}, {store.Crash, 25, boot, 0, 15 * time.Second, 0},
			{store.Restart, 26, boot, 0, 0, 0}, {store.Start, 30, boot, 0, 0, 5 * time.Second}, {store.Stop, 31, boot, 0, time.Second, 0},
			{store.Start, 99, boot, 0, 0, 0},
		}},
		{"it ran before", Span{Phase: count.Up, Boot: boot, Clock: 5e6}, []moment{{store.Crash, 25, boot, 0, 20 * time.Second, 0}}},
		{"nobody knows how it ended", Span{}, []moment{
			{store.Start, 10, boot, 0, 0, 0}, {store.UnknownEnd, 25, boot, 0, 0, 0}, {store.Start, 26, boot, 0, 0, 0},
			{store.Restart, 27, boot, store.Missed, 0, 0}, {store.Crash, 28, boot, 0, 0, 0},
		}},
		{"another boot: the wall clock", Span{}, []moment{{store.Start, 10, boot, 0, 0, 0}, {store.Stop, 70, next, 0, time.Minute, 0}}},
		{"another boot, and the wall clock is wrong", Span{}, []moment{{store.Start, 10, boot, 0, 0, 0}, {store.Stop, 70, next, store.Untrusted, 0, 0}}},
		{"the same boot, and the wall clock is wrong", Span{}, []moment{{store.Start, 10, boot, store.Untrusted, 0, 0}, {store.Stop, 70, boot, 0, time.Minute, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.from
			for _, m := range tt.moments {
				r := store.Record{Kind: m.kind, Flags: m.flags, Boot: m.boot, Monotonic: m.second * 1e6, Time: wall.Add(time.Duration(m.second) * time.Second)}
				if s = s.next(&r); r.Up != m.up || r.Down != m.down {
					t.Errorf("%v at %d s: up %v, down %v; want %v, %v", m.kind, m.second, r.Up, r.Down, m.up, m.down)
				}
			}
		})
	}
}

// Before systemd 257 a unit that is restarted becomes inactive for a moment. It is down until the next
// start all the same. When somebody stops or resets it, it was down until then.
func TestInactive(t *testing.T) {
	for name, tt := range map[string]struct {
		from      string
		scheduled uint32
		down      time.Duration
	}{
		"systemd restarts it":                {"activating", 1, time.Minute},
		"somebody stops it while it waits":   {"activating", 0, 30 * time.Second},
		"somebody resets it":                 {"failed", 0, 30 * time.Second},
		"somebody resets it after a refusal": {"failed", 1, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &disk{}
				live(t, d, map[string]count.Tally{}, false, func(k *keeper) {
					k.tell("a.service", classify.Seen, classify.Started, classify.Crashed)
					time.Sleep(30 * time.Second)
					k.send(count.Event{Transition: classify.Transition{
						Kind: classify.Moved, Unit: "a.service", Time: time.Now(), From: tt.from, To: "inactive", Life: &classify.Life{Scheduled: tt.scheduled},
					}})
					time.Sleep(30 * time.Second)
					k.tell("a.service", classify.Started)
				})
				i := slices.IndexFunc(d.records, func(r store.Record) bool { return r.Kind == store.Start && r.After.Starts == 2 })
				if i < 0 || d.records[i].Down != tt.down {
					t.Errorf("want a second start after %v down, found %+v", tt.down, d.records)
				}
			})
		})
	}
}

func TestSpanOf(t *testing.T) {
	one := decode.Invocation{1}
	ran := &classify.Life{Invocation: one, Begun: 7}
	over := &classify.Life{Invocation: one, Begun: 7, Ended: true}
	crash := &count.Crash{Invocation: one.String(), Boot: "a", Clock: 9}
	changed := time.Unix(5, 0)
	for name, tt := range map[string]struct {
		tally count.Tally
		want  Span
	}{
		"never seen":                   {count.Tally{}, Span{}},
		"it runs":                      {count.Tally{State: "active", Changed: changed, Life: ran, LastCrash: crash}, Span{Phase: count.Up, Boot: records.Boot(), Clock: 7, At: changed}},
		"it has crashed":               {count.Tally{State: "failed", Changed: changed, Life: over, LastCrash: crash}, Span{Phase: count.Down, Boot: "a", Clock: 9, At: crash.Time}},
		"it has crashed, and is reset": {count.Tally{State: "inactive", Life: over, LastCrash: crash}, Span{}},
		"it has ended well":            {count.Tally{State: "inactive", Life: over}, Span{}},
	} {
		if got := SpanOf(&tt.tally); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
