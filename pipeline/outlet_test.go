package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

// outlet is a sink that writes through a Queue to a function of the test.
type outlet struct {
	Queue[int]
	begun    time.Time
	attempts []string // when each write began, and what it wrote
	reports  []string
	written  []int
	needless bool // READY=1 need not wait for its writes
}

// newOutlet returns a sink with a queue of 100 numbers that writes with write.
func newOutlet(write func(o *outlet, numbers []int) (int, error)) *outlet {
	o := &outlet{begun: time.Now()}
	report := func(format string, args ...any) {
		o.reports = append(o.reports, fmt.Sprint(time.Since(o.begun), " ", fmt.Sprintf(format, args...)))
	}
	o.Outlet = Outlet{
		Retry: time.Second, RetryMax: time.Minute, Slow: 15 * time.Second, Patience: 200 * time.Millisecond,
		OnTrouble:     func(err error, retry time.Duration) { report("%v, again in %v", err, retry) },
		OnRecovered:   func(after time.Duration) { report("works after %v", after) },
		TroubleStatus: func(since time.Time) string { return fmt.Sprintf("stuck since %v", since.Sub(o.begun)) },
	}
	o.Limit = 100
	o.Missing = func(lost int) []int { return []int{-lost} }
	o.Out = func(numbers []int) (int, error) {
		o.attempts = append(o.attempts, fmt.Sprint(time.Since(o.begun), " ", numbers))
		n, err := write(o, numbers)
		o.written = append(o.written, numbers[:n]...)
		return n, err
	}
	return o
}

// Run is the loop of a stage with an outlet.
func (o *outlet) Run(ctx context.Context, p *Port[int, None]) error {
	o.Nudge = p.Nudge
	in := p.In
	for !o.Closed() || !o.Drained() {
		o.Begin()
		select {
		case batch, ok := <-in:
			if !ok {
				in = nil
				o.Close()
			}
			for _, n := range batch {
				o.Add(n)
			}
		case w := <-o.Done():
			if err := o.Ended(w); err != nil {
				return err
			}
		case <-o.Timer():
			o.Turn()
		case q := <-p.Probes:
			q.Answer(Answer{Trouble: o.Trouble(), DelaysReady: o.DelaysReady() && !o.needless})
		case <-ctx.Done():
			return errors.Join(ctx.Err(), o.Finish())
		}
	}
	return nil
}

// timed is a source that sends a number at each of these seconds after the start.
func timed(seconds ...int) stageFunc[None, int] {
	return func(ctx context.Context, p *Port[None, int]) error {
		begun := time.Now()
		for n := 1; ; {
			var next <-chan time.Time
			if n <= len(seconds) {
				next = time.After(time.Duration(seconds[n-1])*time.Second - time.Since(begun))
			}
			select {
			case <-next:
				if err := p.Send(ctx, n); err != nil {
					return err
				}
				n++
			case q := <-p.Probes:
				q.Answer(Answer{DelaysReady: n <= len(seconds) && seconds[n-1] == 0})
			case <-ctx.Done():
				return nil
			}
		}
	}
}

var errFull = errors.New("full")

// TestOutlet wants a failed write to be tried again, together with the numbers that came
// meanwhile. Failed and slow writes are reported at most once a minute. A stop tries once
// more.
func TestOutlet(t *testing.T) {
	until := func(end time.Duration) func(o *outlet, numbers []int) (int, error) {
		return func(o *outlet, numbers []int) (int, error) {
			if time.Since(o.begun) < end {
				return 0, errFull
			}
			return len(numbers), nil
		}
	}
	takes := func(d time.Duration, err error) func(o *outlet, numbers []int) (int, error) {
		return func(_ *outlet, numbers []int) (int, error) {
			time.Sleep(d)
			if err != nil {
				return 0, err
			}
			return len(numbers), nil
		}
	}
	const s = time.Second
	for _, tt := range []struct {
		name     string
		write    func(o *outlet, numbers []int) (int, error)
		sent     []int // at which second each number is sent
		stop     time.Duration
		attempts []string
		reports  []string
		status   []string // nil if it changes too often to compare it
		err      string
		failures uint64
	}{
		{
			name: "well", write: until(0), sent: []int{0, 5}, stop: 10 * s,
			attempts: []string{"0s [1]", "5s [2]"},
			status:   []string{},
		},
		{
			name: "full for a while", write: until(100 * s), sent: []int{0, 5, 70}, stop: 200 * s,
			attempts: []string{"0s [1]", "1s [1]", "3s [1]", "7s [1 2]", "15s [1 2]", "31s [1 2]", "1m3s [1 2]", "2m3s [1 2 3]"},
			reports:  []string{"0s full, again in 1s", "1m3s full, again in 1m0s", "2m3s works after 2m3s"},
			status:   []string{"0s stuck since 0s", "2m3s "},
			failures: 7,
		},
		{
			name: "a report a minute, whatever works between", sent: []int{0, 2, 4, 6}, stop: 100 * s,
			write: func(o *outlet, numbers []int) (int, error) {
				if len(o.attempts)%2 == 1 {
					return 0, errFull
				}
				return len(numbers), nil
			},
			attempts: []string{"0s [1]", "1s [1]", "2s [2]", "3s [2]", "4s [3]", "5s [3]", "6s [4]", "7s [4]"},
			reports:  []string{"0s full, again in 1s", "1s works after 1s"},
			failures: 4,
		},
		{
			name: "slow", write: takes(10*s, nil), sent: []int{0, 3, 5}, stop: 50 * s,
			attempts: []string{"0s [1]", "10s [2 3]"},
			status:   []string{},
		},
		{
			name: "too slow", write: takes(102500*time.Millisecond, nil), sent: []int{0, 3}, stop: 300 * s,
			attempts: []string{"0s [1]", "1m42.5s [2]"},
			reports: []string{
				"15s no answer, again in 0s", "1m15s no answer, again in 0s", "1m42.5s works after 1m42.5s",
				"2m15s no answer, again in 0s", "3m15s no answer, again in 0s", "3m25s works after 1m42.5s",
			},
			status: []string{"15s stuck since 0s", "1m42s ", "1m57s stuck since 1m42.5s", "3m25s "},
		},
		{
			name: "stopped while it writes", write: takes(4*s, nil), sent: []int{0, 1}, stop: 2 * s,
			attempts: []string{"0s [1]", "4s [2]"},
			status:   []string{},
		},
		{
			name: "stopped while it waits", write: until(2 * s), sent: []int{0}, stop: 2 * s,
			attempts: []string{"0s [1]", "1s [1]", "2s [1]"},
			reports:  []string{"0s full, again in 1s", "2s works after 2s"},
			status:   []string{"0s stuck since 0s"},
			failures: 2,
		},
		{
			name: "the last try fails", write: until(time.Hour), sent: []int{0}, stop: 2 * s,
			attempts: []string{"0s [1]", "1s [1]", "2s [1]"},
			reports:  []string{"0s full, again in 1s"},
			status:   []string{"0s stuck since 0s"},
			err:      "sink: full",
			failures: 3,
		},
		{
			name: "stopped while it writes what fails", write: takes(4*s, errFull), sent: []int{0, 1}, stop: 2 * s,
			attempts: []string{"0s [1]", "4s [1 2]"},
			reports:  []string{"4s full, again in 1s"},
			status:   []string{},
			err:      "sink: full",
			failures: 2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := pipelinetest.NewNotifier(300 * s)
				g := New(n)
				o := newOutlet(tt.write)
				Sink(g, "sink", Source(g, "timed", timed(tt.sent...)), o)
				stop, cancel := context.WithTimeout(t.Context(), tt.stop)
				defer cancel()
				if err := g.Run(stop); err != nil && err.Error() != tt.err || err == nil && tt.err != "" {
					t.Errorf("Run: %v, want %s", err, tt.err)
				}
				if o.Failures() != tt.failures {
					t.Errorf("%d failures, want %d", o.Failures(), tt.failures)
				}
				if tt.status == nil {
					tt.status = statuses(n)
				}
				for _, diff := range []string{
					cmp.Diff(tt.attempts, o.attempts), cmp.Diff(tt.reports, o.reports), cmp.Diff(tt.status, statuses(n)),
				} {
					if diff != "" {
						t.Errorf("attempts, reports or status (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// statuses returns the statuses of the stages, with the second when each was sent.
func statuses(s *pipelinetest.Notifier) []string {
	statuses := []string{}
	for _, line := range s.Lines() {
		at, text, _ := strings.Cut(line, " ")
		if _, status, ok := strings.Cut(text, "STATUS="); ok && status != "saving and stopping" {
			when, _ := time.ParseDuration(at)
			statuses = append(statuses, fmt.Sprint(when.Truncate(time.Second), " ", status))
		}
	}
	return statuses
}

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

// TestOutletSleeps wants nothing to wake a stage whose outlet has nothing to do.
func TestOutletSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutlet(func(_ *outlet, numbers []int) (int, error) { return len(numbers), nil })
		o.Add(1)
		o.Begin()
		if err := o.Ended(<-o.Done()); err != nil {
			t.Error(err)
		}
		select {
		case <-o.Timer():
			t.Error("the timer of an idle outlet fires")
		case <-time.After(time.Hour):
		}
	})
}

// TestReadyInAStorm has an outlet that is slow, and that always has more to write. READY=1 waits for it,
// but no longer than for one write that takes too long.
func TestReadyInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipelinetest.NewNotifier(30 * time.Second)
		slow := newOutlet(func(_ *outlet, numbers []int) (int, error) {
			time.Sleep(4 * time.Second)
			return len(numbers), nil
		})
		g := New(n)
		sent := Source(g, "storm", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			storm := time.Tick(time.Second)
			for n := 0; ; {
				select {
				case <-storm:
					if n++; p.Send(ctx, n) != nil {
						return nil
					}
				case q := <-p.Probes:
					q.Answer(Answer{DelaysReady: n == 0})
				case <-ctx.Done():
					return nil
				}
			}
		}))
		Sink(g, "slow", sent, slow)
		stop, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		for _, line := range n.Lines() {
			if at, said, _ := strings.Cut(line, " "); strings.HasPrefix(said, "READY=1") {
				if d, err := time.ParseDuration(at); err != nil || d < 15*time.Second || d > 17*time.Second {
					t.Errorf("ready after %s, want about %v", at, slow.Slow)
				}
				return
			}
		}
		t.Errorf("never ready: %q", n.Lines())
	})
}

// TestStuckOutletHoldsUpNothing has a sink whose outlet is stuck. It holds up neither the
// other sinks nor the sender. READY=1 waits for it only if the start needs its write, and
// only until the write takes too long. It holds up the stop until DrainLimit, and the error
// names it.
func TestStuckOutletHoldsUpNothing(t *testing.T) {
	const all = 1000
	for _, tt := range []struct {
		name     string
		needless bool
		ready    string
	}{
		{"which the start needs", false, "15s"}, // Slow
		{"which it does not need", true, "0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := pipelinetest.NewNotifier(30 * time.Second)
				release := make(chan struct{})
				stuck := newOutlet(func(_ *outlet, numbers []int) (int, error) {
					<-release
					return len(numbers), nil
				})
				well := newOutlet(func(_ *outlet, numbers []int) (int, error) { return len(numbers), nil })
				well.Limit = all
				stuck.needless = tt.needless
				g := New(n)
				sent := Source(g, "numbers", numbers(all))
				Sink(g, "stuck", sent, stuck)
				Sink(g, "well", sent, well)
				var third []int
				Sink(g, "third", sent, pipelinetest.Each(func(v int) { third = append(third, v) }))
				stop, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				time.AfterFunc(time.Second, func() {
					synctest.Wait()
					if len(well.written) != all || len(third) != all {
						t.Errorf("after a second the other sinks have %d and %d numbers, want %d", len(well.written), len(third), all)
					}
				})
				err := g.Run(stop)
				if want := "stop cut after 10s, not drained: stuck\nabandoned: stuck"; err == nil || err.Error() != want {
					t.Errorf("Run: %v, want %s", err, want)
				}
				ready := ""
				for _, line := range n.Lines() {
					if at, said, _ := strings.Cut(line, " "); strings.HasPrefix(said, "READY=1") {
						ready = strings.Replace(at, "1ms", "0s", 1) // the first round may find a stage sending
					}
					if strings.Contains(line, "stalled") {
						t.Error(line)
					}
				}
				if ready != tt.ready {
					t.Errorf("ready after %q, want %q, in %q", ready, tt.ready, n.Lines())
				}
				close(release)
			})
		})
	}
}
