package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
)

func TestReadyWaitsForWhatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(30 * time.Second)
		connecting := true
		g := New(s)
		sent := Source(g, "numbers", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			synced := time.After(2 * time.Second)
			for {
				select {
				case <-synced:
					connecting = false
					p.Nudge()
				case q := <-p.Probes:
					q.Answer(Answer{DelaysReady: connecting, Status: map[bool]string{true: "connecting", false: "connected"}[connecting]})
				case <-ctx.Done():
					return nil
				}
			}
		}))
		Sink(g, "sink", Add(g, "double", sent, double), pipelinetest.Each(func(int) {}))
		begun, ready := time.Now(), []time.Duration(nil)
		g.TellReady(func() { ready = append(ready, time.Since(begun)) })
		stop, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{2 * time.Second}; !slices.Equal(ready, want) {
			t.Errorf("ready after %v, want %v", ready, want)
		}
		var told []string
		for _, line := range s.Lines() {
			if strings.Contains(line, "STATUS") || strings.Contains(line, "READY") {
				told = append(told, line)
			}
		}
		want := []string{
			"0s STATUS=connecting; doubling",
			"2s READY=1 STATUS=connected; doubling",
			"15s STOPPING=1 STATUS=saving and stopping",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	})
}

// TestStartIsExtended wants the start timeout to be extended while the stages answer.
func TestStartIsExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(0)
		g := New(s)
		sent := Source(g, "source", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			for begun := time.Now(); ; {
				select {
				case q := <-p.Probes:
					q.Answer(Answer{DelaysReady: time.Since(begun) < 25*time.Second})
				case <-ctx.Done():
					return nil
				}
			}
		}))
		Sink(g, "sink", sent, pipelinetest.Each(func(int) {}))
		stop, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		s.Want(t, "10.005s EXTEND_TIMEOUT_USEC=30000000", "20.005s EXTEND_TIMEOUT_USEC=30000000", "25.005s READY=1",
			"1m0s STOPPING=1 STATUS=saving and stopping")
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
