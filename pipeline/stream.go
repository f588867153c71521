package pipeline

import (
	"context"
	"slices"
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

	kept <-chan []T // of what another stream sends; then this one has nothing else
	cut  *cut[T]    // where its receiver can be cut off
}

// An edge is one receiver's. Where keep is nil, the sender waits.
type edge[T any] struct {
	c    chan []T
	keep keeper[T]
}

// A keeper takes messages at once, in place of their receiver.
type keeper[T any] interface {
	put(messages []T)
	close()
}

func (s *Stream[T]) edge() <-chan []T {
	if s.kept != nil {
		return s.kept
	}
	// Unbuffered, so that order, back-pressure and "settled" need no thought.
	e := edge[T]{c: make(chan []T)}
	s.edges = append(s.edges, e)
	return e.c
}

// again returns the receiver's next channel, where it was cut off and more is sent.
func (s *Stream[T]) again() (<-chan []T, bool) {
	if s.cut == nil {
		return nil, false
	}
	return s.cut.rejoin()
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
		if e.keep != nil {
			e.keep.close()
		} else {
			close(e.c)
		}
	}
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
		if e.keep != nil {
			e.keep.put(p.out.batch)
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
