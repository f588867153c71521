package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
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
