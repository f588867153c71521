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

// What is wrong with the stages is told when it changes, also if there is no service manager.
func TestTroubles(t *testing.T) {
	for _, notifier := range []Notifier{nil, pipelinetest.NewNotifier(0)} {
		synctest.Test(t, func(t *testing.T) {
			ticks := 0
			g := New(notifier)
			Source(g, "stage", stageFunc[None, None](func(ctx context.Context, p *Port[None, None]) error {
				tick := time.Tick(10 * time.Second) // virtual
				for {
					select {
					case <-tick:
						ticks++
						p.Nudge()
					case q := <-p.Probes: // the status changes with each round, and the trouble with each tick
						q.Answer(Answer{Status: time.Now().String(), Trouble: strings.Repeat("!", ticks%3)})
					case <-ctx.Done():
						return nil
					}
				}
			}))
			var told []string
			g.TellTroubles(func(troubles []string) { told = append(told, strings.Join(troubles, "; ")) })
			stop, cancel := context.WithTimeout(t.Context(), 65*time.Second)
			defer cancel()
			if err := g.Run(stop); err != nil {
				t.Fatal(err)
			}
			if want := []string{"!", "!!", "", "!", "!!", ""}; !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
		})
	}
}

func TestRoundsPingTheWatchdogAtAThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(30 * time.Second)
		g := New(s)
		Sink(g, "sink", Source(g, "numbers", numbers(1)), pipelinetest.Each(func(int) {}))
		stop, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		ready := "0s READY=1"
		if first := s.Lines()[0]; first == "1ms READY=1" { // the first round may find a stage sending
			ready = first
		}
		s.Want(t, ready, "10s WATCHDOG=1", "20s WATCHDOG=1", "30s WATCHDOG=1", "35s STOPPING=1 STATUS=saving and stopping")
	})
}

// TestStallIsBlamedOnTheStageThatStalls wants only the stage that hangs to be named, although
// others wait for it.
func TestStallIsBlamedOnTheStageThatStalls(t *testing.T) {
	for _, stuck := range []string{"first", "second", "third"} {
		t.Run(stuck, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := pipelinetest.NewNotifier(30 * time.Second)
				release := make(chan struct{})
				hang := func(name string, v int) {
					if name == stuck && v == 5 {
						<-release
					}
				}
				pass := func(name string) stageFunc[int, int] {
					return func(ctx context.Context, p *Port[int, int]) error {
						for {
							select {
							case batch, ok := <-p.In:
								if !ok {
									return nil
								}
								hang(name, batch[0]) // each batch has one message
								if err := p.Send(ctx, batch...); err != nil {
									return err
								}
							case q := <-p.Probes:
								q.Answer(Answer{})
							}
						}
					}
				}
				g := New(s)
				v := Source(g, "numbers", numbers(100))
				for _, name := range []string{"first", "second", "third"} {
					v = Add(g, name, v, pass(name))
				}
				Sink(g, "sink", v, pipelinetest.Each(func(int) {}))
				stop, cancel := context.WithCancel(t.Context())
				time.AfterFunc(25*time.Second, func() { close(release) })
				time.AfterFunc(31*time.Second, cancel)
				if err := g.Run(stop); err != nil {
					t.Fatal(err)
				}
				var stalls []string
				for _, line := range s.Lines() {
					said, what, _ := strings.Cut(line, " ")
					at, _ := time.ParseDuration(said)
					if name, ok := strings.CutPrefix(what, "stalled "); ok {
						stalls = append(stalls, name)
					}
					if strings.HasPrefix(what, "WATCHDOG=1") && at > time.Second && at < 25*time.Second {
						t.Errorf("pinged the watchdog while %s hung: %s", stuck, line)
					}
				}
				if diff := cmp.Diff([]string{stuck, stuck}, stalls); diff != "" {
					t.Errorf("stalls (-want +got):\n%s", diff)
				}
				counted := map[string]uint64{"numbers": 0, "first": 0, "second": 0, "third": 0, "sink": 0}
				counted[stuck] = 1
				if diff := cmp.Diff(counted, g.Stalls()); diff != "" {
					t.Errorf("counted stalls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReloadEndsWithASettledRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(0)
		g := New(s)
		sent := Source(g, "numbers", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			reload := time.After(5 * time.Second)
			for {
				select {
				case <-reload:
					p.Reloading()
					if err := p.Send(ctx, 1); err != nil {
						return err
					}
				case q := <-p.Probes:
					q.Answer(Answer{})
				case <-ctx.Done():
					return nil
				}
			}
		}))
		busy := false
		Sink(g, "sink", sent, stageFunc[int, None](func(ctx context.Context, p *Port[int, None]) error {
			var applied <-chan time.Time
			for {
				select {
				case _, ok := <-p.In:
					if !ok {
						return nil
					}
					busy, applied = true, time.After(time.Second)
				case <-applied:
					busy = false
					p.Nudge()
				case q := <-p.Probes:
					q.Answer(Answer{DelaysReady: busy})
				}
			}
		}))
		stop, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, line := range s.Lines() {
			if !strings.Contains(line, "WATCHDOG") {
				told = append(told, line)
			}
		}
		told[0] = strings.Replace(told[0], "1ms", "0s", 1)
		want := []string{"0s READY=1", "5s RELOADING=1", "6s READY=1", "10s STOPPING=1 STATUS=saving and stopping"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	})
}

// A stage that waits to send cannot say how it is. It is asked again, also if there is no watchdog.
func TestStatusOfASender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(0)
		g := New(s)
		trouble := ""
		sent := Source(g, "sender", stageFunc[None, int](func(ctx context.Context, p *Port[None, int]) error {
			for tick := time.Tick(10 * time.Second); ; { // virtual
				select {
				case <-tick:
					trouble += "!"
					time.AfterFunc(time.Millisecond, p.Nudge) // by then it has sent, or cannot send
					if err := p.Send(ctx, 1); err != nil {
						return nil
					}
				case q := <-p.Probes:
					q.Answer(Answer{Trouble: trouble})
				case <-ctx.Done():
					return nil
				}
			}
		}))
		Sink(g, "slow", sent, stageFunc[int, None](func(ctx context.Context, p *Port[int, None]) error {
			ask := p.In
			var wait <-chan time.Time
			for {
				select {
				case _, ok := <-ask:
					if !ok {
						return nil
					}
					ask, wait = nil, time.After(11500*time.Millisecond)
				case <-wait:
					ask, wait = p.In, nil
				case q := <-p.Probes:
					q.Answer(Answer{})
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}))
		stop, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		s.Want(t, "0s READY=1", "10.001s WATCHDOG=1 STATUS=!", "20.001s WATCHDOG=1", "21.001s WATCHDOG=1", "22.001s WATCHDOG=1 STATUS=!!", "25s STOPPING=1 STATUS=saving and stopping")
	})
}

// A stage that hangs for a while during the start puts READY=1 off, and no more, also if there is no watchdog.
func TestReadyAfterAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipelinetest.NewNotifier(0)
		g := New(s)
		Source(g, "hangs", stageFunc[None, None](func(ctx context.Context, p *Port[None, None]) error {
			time.Sleep(DrainLimit + 2*time.Second) // virtual
			for {
				select {
				case q := <-p.Probes:
					q.Answer(Answer{})
				case <-ctx.Done():
					return nil
				}
			}
		}))
		stop, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(stop); err != nil {
			t.Fatal(err)
		}
		if at, ready := s.Ready(); !ready || at < 12*time.Second || at > 13*time.Second {
			t.Errorf("ready %t after %v: %q", ready, at, s.Lines())
		}
	})
}
