package pipeline

import (
	"context"
	"slices"
)

// BatchSize is how many messages are sent at once at most. In a storm a stage wakes up once
// for so many messages. More would gain nothing and cost memory.
const BatchSize = 64

// A Stream carries the messages of one stage. Its edges are made before the graph runs.
type Stream[T any] struct {
	edges []edge[T]
	// batch is being sent, and previous was sent before. A receiver no longer uses a batch
	// when it receives the next one, so two are enough.
	batch, previous []T

	kept <-chan []T // for a stream of Latest or Cut: the channel of the messages it keeps
	cut  *cut[T]    // for a stream of Cut
}

// An edge leads to one receiver. If keep is nil, the edge is lossless and the sender waits.
type edge[T any] struct {
	c    chan []T
	keep keeper[T]
}

// A keeper takes messages at once and keeps them for the receiver.
type keeper[T any] interface {
	put(messages []T)
	rest() // frees the room for messages
	close()
}

func (s *Stream[T]) edge() <-chan []T {
	if s.kept != nil {
		return s.kept
	}
	// An unbuffered channel holds no messages. So a settled round need not look at it.
	e := edge[T]{c: make(chan []T)}
	s.edges = append(s.edges, e)
	return e.c
}

// again returns a new channel for a receiver that was cut off, unless the sender has ended.
func (s *Stream[T]) again() (<-chan []T, bool) {
	if s.cut == nil {
		return nil, false
	}
	return s.cut.rejoin()
}

// load makes messages the batch that is sent next.
func (s *Stream[T]) load(messages []T) {
	s.batch, s.previous = append(s.previous[:0], messages...), s.batch
}

// rest frees the batches. It is called at each probe that the stage answers from its select.
// Mostly no message follows soon, and a message may hold much memory: a change of a few
// hundred bytes may refer to a buffer of thousands.
func (s *Stream[T]) rest() {
	s.batch, s.previous = nil, nil
	for _, e := range s.edges {
		if e.keep != nil {
			e.keep.rest()
		}
	}
}

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
	// In delivers the messages of the stage before, in order and in batches. A batch belongs
	// to the receiver until it receives the next one. In is closed when the stage before
	// has returned. It is nil for a source.
	In <-chan []In
	// Probes must be answered in the stage's own select.
	Probes <-chan Probe

	out    *Stream[Out]
	health *health
}

// A Second is a second input of a stage, beside that of its Port.
type Second[T any] struct {
	// In delivers messages as Port.In does. When it is closed, the stage calls Again.
	In   <-chan []T
	from *Stream[T]
}

// Beside returns a second input for one stage. It delivers the stream of a stage that was added to
// the graph before.
func Beside[T any](in *Stream[T]) *Second[T] { return &Second[T]{in.edge(), in} }

// Again says why In was closed. If the stage was cut off, Again returns true, and In delivers what
// is sent from now on. If the sender has ended, In is nil.
func (s *Second[T]) Again() (cut bool) {
	s.In, cut = s.from.again()
	return cut
}

// Send sends messages on every edge of the stage's stream. While it waits it answers probes,
// because the receiver is at fault and not this stage. If ctx is done first, Send returns
// its error, and the messages may be lost.
func (p *Port[In, Out]) Send(ctx context.Context, messages ...Out) error {
	for batch := range slices.Chunk(messages, BatchSize) {
		p.out.load(batch)
		if err := p.send(ctx); err != nil {
			return err
		}
	}
	return nil
}

// send sends the current batch.
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
				q.Answer(Answer{DelaysReady: true, sending: true})
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Nudge asks for a round of probes, because the stage's part of the status has changed.
func (p *Port[In, Out]) Nudge() { p.health.nudge() }

// Reloading notifies the service manager that a reload has begun. The reload ends with the
// next settled round.
func (p *Port[In, Out]) Reloading() { p.health.reloading() }

// Aside runs a call that may block, for example on a slow disk, in a goroutine of its own. It
// delivers the result once, for the select of the stage. So the stage goes on to receive and
// to answer probes.
func Aside[T any](call func() T) <-chan T {
	result := make(chan T, 1) // has room for the result, because an aborted stage does not receive it
	go func() { result <- call() }()
	return result
}
