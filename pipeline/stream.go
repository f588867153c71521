package pipeline

import (
	"context"
	"slices"
	"sync"
)

// BatchSize is how many messages are sent at once, at most. In a storm a stage is
// woken once for so many; more gain nothing, and cost memory.
const BatchSize = 64

// A Stream is what one stage sends. It is wired before the graph runs.
type Stream[T any] struct {
	edges []edge[T]
	// batch is what is being sent, and spare what was sent before. Whoever receives
	// has done with one when it receives the next, so two are enough.
	batch, spare []T

	latest *latest[T] // of what another stream sends, and nothing else
}

// An edge is one receiver's. Where latest is not nil, it keeps messages.
type edge[T any] struct {
	c      chan []T
	latest *latest[T]
}

func (s *Stream[T]) edge() <-chan []T {
	if s.latest != nil {
		return s.latest.c
	}
	// Unbuffered, so that order, back-pressure and "settled" need no thought.
	e := edge[T]{c: make(chan []T)}
	s.edges = append(s.edges, e)
	return e.c
}

// load makes messages the batch that is sent next.
func (s *Stream[T]) load(messages []T) {
	s.batch, s.spare = append(s.spare[:0], messages...), s.batch
}

// rest lets go of what was sent, and of the room for more, as often as the stage is asked
// whether it turns. Most of the time nothing follows soon, and what a message holds may
// be much: a change of a few hundred bytes lies in a buffer of thousands.
func (s *Stream[T]) rest() { s.batch, s.spare = nil, nil }

func (s *Stream[T]) close() {
	for _, e := range s.edges {
		close(e.c)
	}
}

// Latest returns a stream for one receiver that never makes the sender of in wait: of
// the messages that its receiver has not yet taken, it keeps the newest per key, and
// delivers all that it keeps at once.
// What is kept is delivered before the stream ends.
func Latest[T any, K comparable](g *Graph, in *Stream[T], key func(T) K) *Stream[T] {
	place := make(map[K]int) // in what is kept
	l := &latest[T]{c: make(chan []T, 1)}
	l.renew = func(kept, messages []T) []T {
		if kept == nil {
			clear(place)
		}
		for _, v := range messages {
			k := key(v)
			if i, waiting := place[k]; waiting {
				kept[i] = v
				continue
			}
			place[k] = len(kept)
			kept = append(kept, v)
		}
		return kept
	}
	in.edges = append(in.edges, edge[T]{l.c, l})
	g.health.keeping = append(g.health.keeping, l.keeps)
	return &Stream[T]{latest: l}
}

// latest keeps, in the room of a channel, what its receiver has not taken.
type latest[T any] struct {
	mu    sync.Mutex // or a round could find nothing kept while put has it in its hands
	c     chan []T
	renew func(kept, messages []T) []T
}

func (l *latest[T]) put(messages []T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []T
	select {
	case kept = <-l.c:
	default:
	}
	l.c <- l.renew(kept, messages) // nobody else sends, so there is room
}

func (l *latest[T]) keeps() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.c) > 0
}

// A Port is a stage's place in the graph.
type Port[In, Out any] struct {
	// In delivers what the stage before has sent, in order, some messages at a time.
	// They are the receiver's until it receives again. It is closed when the stage
	// before has returned; nil for a source.
	In <-chan []In
	// Probes must be answered in the stage's own select.
	Probes <-chan Probe

	out    *Stream[Out]
	health *health
}

// Send sends messages on every edge of the stage's stream, and answers probes while
// it waits: the stage that does not receive is the one to blame. It returns
// ctx's error when ctx is done first; then they may be lost.
func (p *Port[In, Out]) Send(ctx context.Context, messages ...Out) error {
	for batch := range slices.Chunk(messages, BatchSize) {
		p.out.load(batch)
		if err := p.send(ctx); err != nil {
			return err
		}
	}
	return nil
}

// send sends the batch that is loaded.
func (p *Port[In, Out]) send(ctx context.Context) error {
	for _, e := range p.out.edges {
		if e.latest != nil {
			e.latest.put(p.out.batch)
			continue
		}
		for sent := false; !sent; {
			select {
			case e.c <- p.out.batch:
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
