package pipeline_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

// paced is a source that sends 1 to n, one number after each pause.
func paced(n int, pause func() time.Duration) stageFunc[None, int] {
	return func(ctx context.Context, p *Port[None, int]) error {
		for i := range n {
			time.Sleep(pause()) // virtual
			if err := p.Send(ctx, i+1); err != nil {
				return err
			}
		}
		return nil
	}
}

// listener is a stage behind a Cut edge. It has a list of the received messages for each Run.
type listener struct {
	runs [][]int
	slow func() time.Duration // how long it waits before it receives
}

func (l *listener) Run(_ context.Context, p *Port[int, None]) error {
	var got []int
	for {
		time.Sleep(l.slow()) // virtual
		batch, ok := <-p.In
		if !ok {
			l.runs = append(l.runs, got)
			return nil
		}
		got = append(got, batch...)
	}
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// TestCut has a slow receiver. If it is slow only for a while, it gets all messages in order.
// If it is too slow, its stream ends, and it gets the messages that are sent when it is back.
// Nobody waits for it, and the messages that it misses are counted.
func TestCut(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name   string
		slow   time.Duration
		runs   [][]int
		missed []int
	}{
		{"quick", 0, [][]int{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}, nil},
		{"late, but in time", 3500 * time.Millisecond, [][]int{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}, nil},
		// The fifth message that waits is one too many.
		{"too late, twice", 5500 * time.Millisecond, [][]int{nil, nil}, []int{5, 5}},
		{"too late, and some are sent before it is back", 8500 * time.Millisecond, [][]int{nil, {9, 10}}, []int{5, 3}},
		{"never", time.Hour, [][]int{nil}, []int{5, 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(nil)
				var got, missed []int
				sent := Source(g, "numbers", paced(10, always(s)))
				l := &listener{slow: always(tt.slow)}
				Sink(g, "listener", Cut(sent, 4, func(n int) { missed = append(missed, n) }), l)
				begun := time.Now()
				Sink(g, "other", sent, pipelinetest.Each(func(v int) {
					if at := time.Since(begun); at != time.Duration(v)*s {
						t.Errorf("%d came after %v", v, at)
					}
					got = append(got, v)
				}))
				if err := g.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(got) != 10 {
					t.Errorf("the other sink has %v", got)
				}
				if diff := cmp.Diff(tt.runs, l.runs); diff != "" {
					t.Errorf("received (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.missed, missed); diff != "" {
					t.Errorf("missed (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestCutRandom has a listener with random delays. It receives messages in order, none is
// missing between two cuts, and all that it does not receive are counted.
func TestCutRandom(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			const all = 300
			sends, receives := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			up := func(r *rand.Rand, most int) func() time.Duration {
				return func() time.Duration { return time.Duration(r.IntN(most)) * time.Millisecond }
			}
			g := New(nil)
			missed := 0
			l := &listener{slow: up(receives, 4000)}
			Sink(g, "listener", Cut(Source(g, "numbers", paced(all, up(sends, 1000))), 5, func(n int) { missed += n }), l)
			if err := g.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, last := 0, 0
			for _, run := range l.runs {
				for i, n := range run {
					if n <= last || i > 0 && n != last+1 {
						t.Fatalf("seed %d: %d follows %d in %v", seed, n, last, l.runs)
					}
					last = n
					got++
				}
			}
			if got+missed != all {
				t.Fatalf("seed %d: %d received and %d missed of %d", seed, got, missed, all)
			}
		})
	}
}

// TestReadyDoesNotWaitForCut wants READY=1 not to wait for messages behind Cut. A stage that
// was cut off does not count as one that has ended.
func TestReadyDoesNotWaitForCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipelinetest.NewNotifier(30 * time.Second)
		g := New(n)
		var cuts atomic.Int64
		sent := Source(g, "numbers", numbers(100))
		Sink(g, "listener", Cut(sent, 1, func(int) { cuts.Add(1) }), stageFunc[int, None](func(ctx context.Context, p *Port[int, None]) error {
			in := p.In
			if cuts.Load() == 0 {
				in = nil // from now on it receives nothing but answers probes
			}
			for {
				select {
				case _, ok := <-in:
					if !ok {
						return nil
					}
				case <-time.After(time.Second):
					in = p.In
				case q := <-p.Probes:
					q.Answer(Answer{})
				}
			}
		}))
		Sink(g, "other", sent, pipelinetest.Each(func(int) {}))
		stop, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		if cuts.Load() == 0 {
			t.Error("the listener was not cut off")
		}
		n.Want(t, n.Lines()[0], "10s WATCHDOG=1", "15s STOPPING=1 STATUS=saving and stopping")
		if n.Lines()[0] != "0s READY=1" && n.Lines()[0] != "1ms READY=1" {
			t.Errorf("first told %q", n.Lines()[0])
		}
	})
}

// TestSecond has a stage with two inputs. It receives everything on each, also after a cut on one
// of them. It ends when both have ended.
func TestSecond(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		cuts  int
		got   []int
	}{
		{"all in time", 10, 0, []int{1, 2, 3, 4, 5, 6}},
		{"too late, once", 2, 1, []int{4, 5, 6}}, // the third is one too many
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(nil)
				var first, second []int
				cuts := 0
				words := Beside(Cut(Source(g, "slow", paced(6, always(time.Second))), tt.limit, func(int) {}))
				Sink(g, "both", Source(g, "quick", paced(100, always(0))), stageFunc[int, None](func(_ context.Context, p *Port[int, None]) error {
					time.Sleep(3500 * time.Millisecond) // virtual
					for in := p.In; in != nil || words.In != nil; {
						select {
						case batch, ok := <-in:
							if first = append(first, batch...); !ok {
								in = nil
							}
						case batch, ok := <-words.In:
							if second = append(second, batch...); !ok && words.Again() {
								cuts++
							}
						}
					}
					return nil
				}))
				if err := g.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(first) != 100 || cuts != tt.cuts {
					t.Errorf("%d messages, %d cuts", len(first), cuts)
				}
				if diff := cmp.Diff(tt.got, second); diff != "" {
					t.Errorf("the second input (-want +got):\n%s", diff)
				}
			})
		})
	}
}
