package pipeline_test

import (
	"context"
	"errors"
	"fmt"
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
