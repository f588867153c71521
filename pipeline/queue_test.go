package pipeline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "service-monitor/pipeline"
)

// TestOutletDrains has writes that write only a part. Such a failure counts as a first one, so
// the wait begins anew. After Close attempts go on while something gets through, and then for
// Drain.
func TestOutletDrains(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drain time.Duration
		parts int // how often a write gets one number through
		want  string
	}{
		{"none", 0, 0, "0s [1 2 3 4 5]"},
		{"a part ends it", 0, 1, "0s [1 2 3 4 5]"},
		{"for a time", 200 * time.Millisecond, 0, "0s [1 2 3 4 5]; 10ms [1 2 3 4 5]; 30ms [1 2 3 4 5]; 70ms [1 2 3 4 5]; 150ms [1 2 3 4 5]; 250ms [1 2 3 4 5]"},
		{"as long as something gets through", 50 * time.Millisecond, 3,
			"0s [1 2 3 4 5]; 10ms [2 3 4 5]; 20ms [3 4 5]; 30ms [4 5]; 50ms [4 5]; 90ms [4 5]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := tt.parts
				o := newOutlet(func(*outlet, []int) (int, error) {
					if left--; left < 0 {
						return 0, errFull
					}
					return 1, errFull
				})
				o.Retry, o.RetryMax, o.Drain = 10*time.Millisecond, 100*time.Millisecond, tt.drain
				o.Add(1, 2, 3, 4, 5)
				if err := o.Finish(); !errors.Is(err, errFull) {
					t.Errorf("Finish: %v, want %v", err, errFull)
				}
				if got := strings.Join(o.attempts, "; "); got != tt.want {
					t.Errorf("attempts %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// TestQueueLosesNothingSilently has writes that write random parts. Each number is written
// once and in order, or is counted as missing in its place.
func TestQueueLosesNothingSilently(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r, sends := rand.New(rand.NewPCG(seed, 12)), rand.New(rand.NewPCG(seed, 13))
			o := newOutlet(func(_ *outlet, numbers []int) (int, error) {
				time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
				if n := r.IntN(len(numbers) + 1); n < len(numbers) {
					return n, errFull
				}
				return len(numbers), nil
			})
			o.Limit, o.RetryMax = 10, 2*time.Second
			g := New(nil)
			Sink(g, "sink", Source(g, "many", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
				for n := 1; n <= 300; n++ {
					time.Sleep(time.Duration(sends.IntN(300)) * time.Millisecond)
					if err := p.Send(ctx, n); err != nil {
						return err
					}
				}
				time.Sleep(time.Hour)
				return nil
			})), o)
			if err := g.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			next := 1
			for _, n := range o.written {
				if n < 0 {
					next -= n
					continue
				}
				if n != next {
					t.Fatalf("seed %d: %d follows %d in %v", seed, n, next-1, o.written)
				}
				next++
			}
			if next != 301 {
				t.Fatalf("seed %d: the end is %d in %v", seed, next-1, o.written)
			}
		})
	}
}

// TestQueueCrowded wants a stage to wait for Patience, and no longer, if its queue may soon be
// full.
func TestQueueCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutlet(func(_ *outlet, numbers []int) (int, error) {
			time.Sleep(time.Second)
			return len(numbers), nil
		})
		o.Add(0)
		o.Begin()
		var crowded []bool
		for range o.Limit/2 + 1 {
			crowded = append(crowded, o.Crowded())
			o.Add(0)
		}
		if slices.Contains(crowded, true) || !o.Crowded() {
			t.Errorf("crowded %v with half of it, and %v with more", crowded, o.Crowded())
		}
		begun := time.Now()
		<-o.Timer()
		if waited := time.Since(begun); waited != o.Patience || o.Crowded() {
			t.Errorf("crowded %v after %v, want it to be over after %v", o.Crowded(), waited, o.Patience)
		}
		if err := o.Finish(); err != nil {
			t.Error(err)
		}
	})
}

// Once a write begins there is room again for what comes. What was dropped is told in its place.
func TestQueueHasRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutlet(func(_ *outlet, numbers []int) (int, error) { return len(numbers), nil })
		o.Limit = 2
		write := func() {
			if !o.Begin() {
				t.Fatal("there is nothing to write")
			}
		}
		ended := func() {
			if err := o.Ended(<-o.Done()); err != nil {
				t.Fatal(err)
			}
		}
		o.Add(1)
		write()
		if o.Add(2, 3); o.Add(4) {
			t.Error("there is room for a third")
		}
		ended()
		if write(); !o.Add(5) {
			t.Error("nothing waits, and there is no room")
		}
		ended()
		write()
		ended()
		if want := []int{1, 2, 3, -1, 5}; !slices.Equal(o.written, want) {
			t.Errorf("written %v, want %v", o.written, want)
		}
	})
}

// While every write fails, the queue stays as small as it is allowed to be, however long that takes.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutlet(func(*outlet, []int) (int, error) { return 0, errFull })
		o.Limit = 5
		for i := range 1000 {
			o.Add(i)
			if o.Begin() {
				if err := o.Ended(<-o.Done()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute) // virtual
		}
		last := o.attempts[len(o.attempts)-1]
		if numbers := strings.Count(last, " "); numbers > o.Limit+1 {
			t.Errorf("it writes %d numbers: %s", numbers, last)
		}
	})
}
