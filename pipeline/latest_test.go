package pipeline_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

func TestLatestKeepsTheNewestPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type state struct{ key, value int }
		var got []state
		g := New(nil)
		sent := Source(g, "states", stageFunc[None, state](func(ctx context.Context, p *Port[None, state]) error {
			for i := range 10 {
				if err := p.Send(ctx, state{i % 3, i}); err != nil {
					return err
				}
				if i == 0 {
					time.Sleep(time.Millisecond) // the sink takes it
				}
			}
			<-ctx.Done()
			return nil
		}))
		newest := Latest(g, sent, func(s state) int { return s.key })
		Sink(g, "slow", newest, pipelinetest.Each(func(s state) {
			time.Sleep(time.Second)
			got = append(got, s)
		}))
		stop, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		// The first message was taken before the second was sent. Then comes the newest of each key.
		if diff := cmp.Diff([]state{{0, 0}, {1, 7}, {2, 8}, {0, 9}}, got, cmp.AllowUnexported(state{})); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	})
}

// A receiver of a Latest edge has its batch for itself until it receives the next one, however much is sent
// meanwhile. The room of a batch is used again after that.
func TestLatestUsesRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rounds = 200
		g := New(nil)
		sent := Source(g, "numbers", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			for i := range rounds {
				if err := p.Send(ctx, i, i+rounds); err != nil {
					return err
				}
				time.Sleep(time.Second)
			}
			return nil
		}))
		rooms, last := map[*int]bool{}, 0
		Sink(g, "numbers", Latest(g, sent, func(n int) int { return n }), stageFunc[int, None](func(_ context.Context, p *Port[int, None]) error {
			for batch := range p.In {
				rooms[&batch[0]], last = true, batch[len(batch)-1]
				before := slices.Clone(batch)
				time.Sleep(time.Duration(len(rooms)%3) * 700 * time.Millisecond) // the next one comes before, or after
				if !slices.Equal(before, batch) {
					t.Errorf("%v became %v", before, batch)
				}
			}
			return nil
		}))
		if err := g.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last != 2*rounds-1 || len(rooms) > 8 {
			t.Errorf("received up to %d in %d rooms", last, len(rooms))
		}
	})
}

// TestReadyWaitsForWhatLatestKeeps wants READY=1 to wait for messages that a Latest edge keeps.
func TestReadyWaitsForWhatLatestKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(30 * time.Second)
		g := New(s)
		newest := Latest(g, Source(g, "numbers", numbers(1)), func(n int) int { return n })
		Sink(g, "late", newest, stageFunc[int, None](func(ctx context.Context, p *Port[int, None]) error {
			var in <-chan []int
			for receives := time.After(2 * time.Second); ; {
				select {
				case <-receives:
					in = p.In
				case _, ok := <-in:
					if !ok {
						return nil
					}
				case q := <-p.Probes:
					q.Answer(Answer{})
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}))
		stop, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		// It is asked again after 1 ms, 2 ms, 4 ms and so on to 1 s.
		s.Want(t, "2.005s READY=1", "5s STOPPING=1 STATUS=saving and stopping")
	})
}
