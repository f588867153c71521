package pipelinetest

import (
	"context"

	"service-monitor/pipeline"
)

// A Collector is a last stage. It hands each message to the test and answers probes meanwhile.
type Collector[T any] struct {
	take func(context.Context, T) error
	end  func() // called when the stage ends; may be nil
	fail <-chan error
}

// Collect returns a collector that appends each message to a slice. The test may read the slice
// once the graph has ended, or while its bubble of testing/synctest is blocked.
func Collect[T any](into *[]T) Collector[T] {
	return Each(func(message T) { *into = append(*into, message) })
}

// Each returns a collector that calls take with each message.
func Each[T any](take func(T)) Collector[T] {
	return Check(func(message T) error { take(message); return nil })
}

// Check returns a collector that fails with the first error of check.
func Check[T any](check func(T) error) Collector[T] {
	return Collector[T]{take: func(_ context.Context, message T) error { return check(message) }}
}

// Forward returns a collector that sends each message on a channel, and closes the channel when
// the stage ends.
func Forward[T any](c chan<- T) Collector[T] {
	forward := func(ctx context.Context, message T) error {
		select {
		case c <- message:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return Collector[T]{take: forward, end: func() { close(c) }}
}

// FailOn returns a collector that also fails with the first error from the channel.
func (c Collector[T]) FailOn(fail <-chan error) Collector[T] {
	c.fail = fail
	return c
}

// Run collects until there are no more messages.
func (c Collector[T]) Run(ctx context.Context, p *pipeline.Port[T, pipeline.None]) error {
	if c.end != nil {
		defer c.end()
	}
	for {
		select {
		case batch, ok := <-p.In:
			if !ok {
				return nil
			}
			for _, message := range batch {
				if err := c.take(ctx, message); err != nil {
					return err
				}
			}
		case err := <-c.fail:
			return err
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
