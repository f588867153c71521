package tell

import (
	"testing"
	"time"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// A past that is kept answers at any moment as one that is made anew for that moment, also after it has let
// go of what is old. What was answered before stays as it was.
func TestPastAt(t *testing.T) {
	crash := func(n int) store.Record {
		return store.Record{Kind: store.Crash, Time: noon.Add(time.Duration(n) * time.Hour), Up: 30 * time.Minute, Delta: store.Counts{Crashes: 1, Starts: 1}, After: store.Counts{Crashes: int64(n) + 100}}
	}
	var kept Past
	var before Past
	for n := range 200 {
		r := crash(n)
		kept.Add(&r, r.Time)
		now := r.Time.Add(90 * time.Minute)
		if n%7 == 0 {
			kept.Forget(&Clock{Now: r.Time})
		}
		var anew Past
		for i := range n + 1 {
			r := crash(i)
			anew.Add(&r, now)
		}
		then := kept.At(now)
		clock := &Clock{Now: now}
		if got, want := then.Uptime.Availability(chronicle.Span{}, clock, 0), anew.Uptime.Availability(chronicle.Span{}, clock, 0); got != want || then.Day != anew.Day || then.Loop != anew.Loop {
			t.Fatalf("hour %d: %+v and %d crashes, want %+v and %d", n, got, then.Day, want, anew.Day)
		}
		if n == 50 {
			before = then
		}
	}
	if len(kept.recent) > 40 || len(kept.stretches) > 40 {
		t.Errorf("it keeps %d crashes and %d stretches", len(kept.recent), len(kept.stretches))
	}
	if got := before.At(noon.Add(51*time.Hour + 30*time.Minute)); got.Day != before.Day || len(before.starts.list) > mostStarts {
		t.Errorf("%d crashes, and it was %d", got.Day, before.Day)
	}
}

// A past that is read of a long history keeps nothing that is older than a day, not even for a moment. It
// answers as one that keeps everything, and so do the copies that were made of it meanwhile.
func TestPastAddLately(t *testing.T) {
	clock := &Clock{Now: noon.Add(200 * time.Hour)}
	var kept, all Past
	var copies []Past
	var wants []Availability
	for n := range 200 {
		r := store.Record{Kind: store.Crash, Time: noon.Add(time.Duration(n) * time.Hour), Up: time.Duration(n%50) * time.Minute, Delta: store.Counts{Crashes: 1, Starts: 1}, After: store.Counts{Crashes: int64(n)}}
		kept.AddLately(&r, clock)
		all.Add(&r, clock.Now)
		if len(kept.stretches) > 25 {
			t.Fatalf("hour %d: it keeps %d stretches", n, len(kept.stretches))
		}
		copies, wants = append(copies, kept.At(clock.Now)), append(wants, all.Uptime.Availability(chronicle.Span{}, clock, 0))
	}
	for n := range copies {
		if got := copies[n].Uptime.Availability(chronicle.Span{}, clock, 0); got != wants[n] {
			t.Errorf("hour %d: %+v, want %+v", n, got, wants[n])
		}
	}
}
