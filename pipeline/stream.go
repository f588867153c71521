package pipeline

import (
	"context"
	"sync/atomic"
)

// A Stream is what one stage sends. It is wired before the graph runs.
type Stream[T any] struct {
	edges []edge[T]
}

type edge[T any] struct {
	c chan T
	// sent is, of an edge that keeps messages, how many were sent and have neither
	// been received nor replaced. nil where none are kept.
	sent *atomic.Int64
}

func (s *Stream[T]) edge(sent *atomic.Int64) <-chan T {
	// Unbuffered, so that order, back-pressure and "settled" need no thought.
	e := edge[T]{make(chan T), sent}
	s.edges = append(s.edges, e)
	return e.c
}

func (s *Stream[T]) close() {
	for _, e := range s.edges {
		close(e.c)
	}
}

// Latest returns a stream that never makes the sender of in wait: of the
// messages that its receiver has not yet taken, it keeps the newest per key.
// What is kept is delivered before the stream ends.
func Latest[T any, K comparable](g *Graph, in *Stream[T], key func(T) K) *Stream[T] {
	kept := new(atomic.Int64)
	from, out := in.edge(kept), &Stream[T]{}
	g.health.kept = append(g.health.kept, kept)
	g.pumps = append(g.pumps, func(ctx context.Context) {
		defer out.close()
		newest := make(map[K]T)
		var order []K
		for from != nil || len(order) > 0 {
			var to chan<- T
			var head T
			if len(order) > 0 {
				to, head = out.edges[0].c, newest[order[0]]
			}
			select {
			case v, ok := <-from:
				if !ok {
					from = nil
					break
				}
				k := key(v)
				if _, waiting := newest[k]; waiting {
					kept.Add(-1)
				} else {
					order = append(order, k)
				}
				newest[k] = v
			case to <- head:
				kept.Add(-1)
				delete(newest, order[0])
				order = order[1:]
			case <-ctx.Done():
				return
			}
		}
	})
	return out
}

// A Port is a stage's place in the graph.
type Port[In, Out any] struct {
	// In is closed when the stage before has returned; nil for a source.
	In <-chan In
	// Probes must be answered in the stage's own select.
	Probes <-chan Probe

	out    *Stream[Out]
	health *health
}

// Send sends v on every edge of the stage's stream, and answers probes while
// it waits: the stage that does not receive is the one to blame. It returns
// ctx's error when ctx is done first; then v may be lost.
func (p *Port[In, Out]) Send(ctx context.Context, v Out) error {
	for _, e := range p.out.edges {
		if e.sent != nil {
			e.sent.Add(1) // before it is received, or a round could find nothing kept
		}
		for sent := false; !sent; {
			select {
			case e.c <- v:
				sent = true
			case q := <-p.Probes:
				q.Answer(Answer{Owing: true, sending: true})
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Nudge asks for a round, because the stage's part of the status has changed.
func (p *Port[In, Out]) Nudge() { p.health.nudge() }

// Reloading tells the service manager that a reload has begun. It ends with
// the next settled round.
func (p *Port[In, Out]) Reloading() { p.health.reloading() }

// Aside runs a call that may block for as long as a disk likes, and delivers
// its result once, to the select of the stage that made it. So the stage goes on
// to receive, and to answer: a slow disk is no reason for the watchdog.
func Aside[T any](call func() T) <-chan T {
	result := make(chan T, 1) // an aborted stage does not wait for it
	go func() { result <- call() }()
	return result
}
