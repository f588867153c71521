package pipelinetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline"
)

// Each player sends its messages at their times, and each collector receives them all.
func TestPlayersAndCollectors(t *testing.T) {
	fed := func() Player[int] {
		c := make(chan int)
		go func() {
			defer close(c)
			for i := range 3 {
				time.Sleep(2 * time.Second)
				c <- i + 1
			}
		}()
		return Feed(c)
	}
	for _, tt := range []struct {
		name   string
		player func() Player[int]
		want   []time.Duration // at which second each message came
	}{
		{"at once", func() Player[int] { return Play(1, 2, 3) }, []time.Duration{0, 0, 0}},
		{"one per second", func() Player[int] { return PlayEvery(time.Second, 1, 2, 3) }, []time.Duration{1, 2, 3}},
		{"each at its time", func() Player[int] {
			return PlayAt(Cue[int]{0, 1}, Cue[int]{5 * time.Second, 2}, Cue[int]{5 * time.Second, 3})
		}, []time.Duration{0, 5, 5}},
		{"by a test", fed, []time.Duration{2, 4, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []int
				var times []time.Duration
				begun, forwarded := time.Now(), make(chan int, 3)
				g := pipeline.New(nil)
				sent := pipeline.Source(g, "player", tt.player())
				pipeline.Sink(g, "collect", sent, Collect(&got))
				pipeline.Sink(g, "each", sent, Each(func(int) { times = append(times, time.Since(begun)/time.Second) }))
				pipeline.Sink(g, "forward", sent, Forward(forwarded))
				stop, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := g.Run(stop); err != nil {
					t.Fatal(err)
				}
				var passed []int
				for i := range forwarded { // until it is closed
					passed = append(passed, i)
				}
				for _, messages := range [][]int{got, passed} {
					if diff := cmp.Diff([]int{1, 2, 3}, messages); diff != "" {
						t.Errorf("messages (-want +got):\n%s", diff)
					}
				}
				if diff := cmp.Diff(tt.want, times); diff != "" {
					t.Errorf("times (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestCollectorFails wants a collector to fail with an error of its check, or with one that the
// test sends.
func TestCollectorFails(t *testing.T) {
	noInk := errors.New("no ink")
	fail := make(chan error, 1)
	fail <- noInk
	for name, c := range map[string]Collector[int]{
		"check": Check(func(int) error { return noInk }),
		"told":  Each(func(int) {}).FailOn(fail),
	} {
		synctest.Test(t, func(t *testing.T) {
			g := pipeline.New(nil)
			pipeline.Sink(g, name, pipeline.Source(g, "player", PlayEvery(time.Second, 1)), c)
			if err := g.Run(t.Context()); !errors.Is(err, noInk) {
				t.Errorf("%s: %v, want %v", name, err, noInk)
			}
		})
	}
}

func TestNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNotifier(time.Second)
		go func() {
			time.Sleep(2 * time.Second)
			n.Notify("READY=1\nSTATUS=watching")
			n.Stalled("bus", time.Second)
		}()
		n.Await("READY=1")
		synctest.Wait()
		n.Want(t, "2s READY=1 STATUS=watching", "2s stalled bus")
		if diff := cmp.Diff([]string{"2s watching", "stalled bus"}, n.Statuses()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
		if at, ok := n.Ready(); at != 2*time.Second || !ok {
			t.Errorf("ready: %v, %v", at, ok)
		}
	})
}
