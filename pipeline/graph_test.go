package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

// A stageFunc is a function that is a stage.
type stageFunc[In, Out any] func(ctx context.Context, p *Port[In, Out]) error

func (f stageFunc[In, Out]) Run(ctx context.Context, p *Port[In, Out]) error { return f(ctx, p) }

// numbers is a source that sends 1 to n. Then it answers probes until it is stopped.
func numbers(n int) stageFunc[None, int] {
	return func(ctx context.Context, p *Port[None, int]) error {
		for i := range n {
			if err := p.Send(ctx, i+1); err != nil {
				return err
			}
		}
		for {
			select {
			case q := <-p.Probes:
				q.Answer(Answer{})
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// stuck is a sink that takes one batch, and then waits until it is cut.
var stuck = stageFunc[int, None](func(ctx context.Context, p *Port[int, None]) error {
	<-p.In
	<-ctx.Done()
	return ctx.Err()
})

// double is a stage that sends twice each number.
var double = stageFunc[int, int](func(ctx context.Context, p *Port[int, int]) error {
	for {
		select {
		case batch, ok := <-p.In:
			if !ok {
				return nil
			}
			for _, v := range batch {
				if err := p.Send(ctx, 2*v); err != nil {
					return err
				}
			}
		case q := <-p.Probes:
			q.Answer(Answer{Status: "doubling"})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
})

func TestStopDrainsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		g := New(nil)
		sent := Source(g, "numbers", numbers(3))
		doubled := Add(g, "double", sent, double)
		Sink(g, "slow", doubled, pipelinetest.Each(func(v int) {
			time.Sleep(time.Second) // virtual
			got = append(got, v)
		}))
		stop, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatalf("Run: %v", err)
		}
		// The source was waiting to send at the stop. It does not send that number any
		// more. The numbers that it had sent are drained.
		if diff := cmp.Diff([]int{2, 4, 6}, got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	})
}

func TestFailureAbortsAllByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(nil)
		sent := Source(g, "numbers", numbers(1))
		Sink(g, "broken", sent, stageFunc[int, None](func(context.Context, *Port[int, None]) error {
			return errors.New("no ink")
		}))
		err := g.Run(t.Context())
		if want := "broken: no ink"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
		}
	})
}

func TestEarlyReturnIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(nil)
		sent := Source(g, "numbers", numbers(2))
		Sink(g, "lazy", sent, stageFunc[int, None](func(_ context.Context, p *Port[int, None]) error {
			<-p.In
			return nil
		}))
		err := g.Run(t.Context())
		if want := "lazy: returned before its input ended"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
		}
	})
}

func TestDrainLimitSaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(nil)
		sent := Source(g, "numbers", numbers(2))
		Sink(g, "stuck", sent, stuck)
		stop, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		err := g.Run(stop)
		if want := "stop cut after 10s, not drained: stuck"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
		}
		if took := time.Since(begun); took != time.Second+DrainLimit {
			t.Errorf("took %v, want the limit after the stop", took)
		}
	})
}

func TestAbandonsAStageThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := New(nil)
		sent := Source(g, "numbers", numbers(1))
		Sink(g, "deaf", sent, pipelinetest.Each(func(int) { <-release }))
		stop, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := g.Run(stop)
		if want := "stop cut after 10s, not drained: deaf\nabandoned: deaf"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
		}
		close(release)
	})
}

// A sink that cannot write its last does not take the time from the others. Its error comes in the end.
func TestSinkFailsAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := func(after time.Duration, err error) stageFunc[int, None] {
			return func(ctx context.Context, p *Port[int, None]) error {
				for range p.In {
				}
				select {
				case <-time.After(after):
					return err
				case <-ctx.Done():
					return errors.Join(ctx.Err(), errors.New("not saved"))
				}
			}
		}
		for _, tt := range []struct {
			name string
			slow time.Duration
			want string
		}{
			{"in time", DrainLimit - time.Second, "log: no room"},
			{"too late", DrainLimit + time.Second, "log: no room; stop cut after 10s, not drained: state; state: not saved"},
		} {
			g := New(nil)
			sent := Source(g, "numbers", numbers(1))
			Sink(g, "log", sent, ends(0, errors.New("no room")))
			Sink(g, "state", sent, ends(tt.slow, nil))
			stop, cancel := context.WithTimeout(t.Context(), time.Second)
			begun := time.Now()
			err := g.Run(stop)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: Run: %v, want %s", tt.name, err, tt.want)
			}
			if took := time.Since(begun); took != time.Second+min(tt.slow, DrainLimit) {
				t.Errorf("%s: took %v", tt.name, took)
			}
			cancel()
		}
	})
}
