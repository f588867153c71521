package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

func TestAsideHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(3 * time.Second)
		g := New(s)
		var got string
		Sink(g, "disk", Source(g, "numbers", numbers(1)), stageFunc[int, None](func(ctx context.Context, p *Port[int, None]) error {
			result := Aside(func() string { time.Sleep(time.Minute); return "written" })
			Aside(func() string { time.Sleep(90 * time.Second); return "never received" })
			for in := p.In; in != nil; {
				select {
				case _, ok := <-in:
					if !ok {
						in = nil
					}
				case got = <-result:
				case q := <-p.Probes:
					q.Answer(Answer{})
				}
			}
			return nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if got != "written" {
			t.Errorf("the result is %q", got)
		}
		for _, line := range s.Lines() {
			if strings.Contains(line, " stalled ") {
				t.Error(line)
			}
		}
	})
}

// TestBatchesAreTheReceivers wants a batch to be used again only when no receiver uses it any
// more.
func TestBatchesAreTheReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 1000
		sizes := []int{1, BatchSize, 3, 5*BatchSize + 1, 2}
		g := New(nil)
		sent := Source(g, "numbers", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			for next, turn := 1, 0; next <= all; turn++ {
				var numbers []int
				for range min(sizes[turn%len(sizes)], all-next+1) {
					numbers = append(numbers, next)
					next++
				}
				if err := p.Send(ctx, numbers...); err != nil {
					return err
				}
				clear(numbers) // Send has copied them
			}
			<-ctx.Done()
			return nil
		}))
		receive := func(slow time.Duration, most int, got *[]int) stageFunc[int, None] {
			return func(_ context.Context, p *Port[int, None]) error {
				for batch := range p.In {
					if len(batch) == 0 || len(batch) > most {
						t.Errorf("a batch of %d", len(batch))
					}
					time.Sleep(slow) // meanwhile the source sends all that it can
					*got = append(*got, batch...)
				}
				return nil
			}
		}
		var quick, slow, kept []int
		Sink(g, "quick", sent, receive(0, BatchSize, &quick))
		Sink(g, "slow", sent, receive(time.Second, BatchSize, &slow))
		Sink(g, "kept", Latest(g, sent, func(n int) int { return n }), receive(3*time.Second, all, &kept))
		stop, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string][]int{"quick": quick, "slow": slow, "kept": kept} {
			for i, n := range got {
				if n != i+1 {
					t.Fatalf("%s: message %d is %d", name, i+1, n)
				}
			}
			if len(got) != all {
				t.Errorf("%s has %d messages, want %d", name, len(got), all)
			}
		}
	})
}
