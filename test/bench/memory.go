package main

import (
	"context"
	"math"
	"time"

	"service-monitor/test/bench/proc"
)

// A contestant is at rest when its memory has not changed by more than a hundredth for some time,
// or after restLimit. The daemon gives back the memory of its start soon after it is ready. The
// bench waits for the others in the same way.
const (
	restLimit = 20 * time.Second
	restLook  = 50 * time.Millisecond
)

// rested returns what a contestant keeps in memory when it has come to rest.
func (r *run) rested(ctx context.Context, still time.Duration) (proc.Memory, error) {
	now := time.Now()
	begun, since, last := now, now, proc.MemoryOf(r.Pid)
	for now.Sub(since) < still && now.Sub(begun) < restLimit {
		if err := sleep(ctx, restLook); err != nil {
			return last, err
		}
		now = time.Now()
		if next := proc.MemoryOf(r.Pid); math.Abs(next.Resident-last.Resident) > last.Resident/100 {
			since, last = now, next
		}
	}
	return proc.MemoryOf(r.Pid), nil
}

// peakLook is the pause between two looks at anonymous memory. It is long enough to cost a
// contestant nothing. The kernel knows the peak of resident memory, but not that of anonymous
// memory, which is the highest value seen.
const peakLook = 10 * time.Millisecond

// peak watches the anonymous memory of a contestant. The function that it returns stops that, and
// returns the highest value.
func (r *run) peak() func() float64 {
	done, highest := make(chan struct{}), make(chan float64, 1)
	go func() {
		next := time.NewTicker(peakLook)
		defer next.Stop()
		most := 0.0
		for {
			most = max(most, proc.MemoryOf(r.Pid).Anonymous)
			select {
			case <-next.C:
				continue
			case <-done:
			case <-r.Done():
			}
			highest <- most
			return
		}
	}()
	return func() float64 {
		close(done)
		return <-highest
	}
}
