// Package pipelinetest has what a test of a stage puts around that stage: a Player that feeds it,
// a Collector that takes what it sends, and a Notifier in the place of systemd.
package pipelinetest

import (
	"context"
	"time"

	"service-monitor/pipeline"
)

// A Player is a first stage. It sends the messages of a test and answers probes meanwhile.
type Player[T any] struct {
	cues []Cue[T]
	feed <-chan T
	// once is true for a player that sends all cues together, whatever their times, and ends.
	once bool
}

// A Cue is a message and the time to send it, counted from the start of the player.
type Cue[T any] struct {
	At      time.Duration
	Message T
}

// Play returns a player that sends all messages at once and ends.
func Play[T any](messages ...T) Player[T] {
	y := PlayEvery(0, messages...)
	y.once = true
	return y
}

// PlayEvery returns a player that sends one message per interval, the first after one interval.
// Then it waits for the stop.
func PlayEvery[T any](interval time.Duration, messages ...T) Player[T] {
	cues := make([]Cue[T], len(messages))
	for i, message := range messages {
		cues[i] = Cue[T]{time.Duration(i+1) * interval, message}
	}
	return PlayAt(cues...)
}

// PlayAt returns a player that sends each message at its time. Then it waits for the stop.
func PlayAt[T any](cues ...Cue[T]) Player[T] { return Player[T]{cues: cues} }

// Feed returns a player that passes on what a test sends on a channel. It ends when the test
// closes the channel, or at the stop.
func Feed[T any](c <-chan T) Player[T] { return Player[T]{feed: c} }

// Run sends the messages.
func (y Player[T]) Run(ctx context.Context, p *pipeline.Port[pipeline.None, T]) error {
	if y.once {
		return p.Send(ctx, y.messages()...)
	}
	begun := time.Now()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		if next.Stop(); len(y.cues) > 0 {
			next.Reset(y.cues[0].At - time.Since(begun))
		}
		select {
		case <-next.C:
			if err := p.Send(ctx, y.cues[0].Message); err != nil {
				return err
			}
			y.cues = y.cues[1:]
		case message, ok := <-y.feed:
			if !ok {
				return nil
			}
			if err := p.Send(ctx, message); err != nil {
				return err
			}
		case q := <-p.Probes:
			// READY=1 waits for messages that are due now.
			q.Answer(pipeline.Answer{DelaysReady: len(y.cues) > 0 && y.cues[0].At <= time.Since(begun)})
		case <-ctx.Done():
			return nil
		}
	}
}

func (y Player[T]) messages() []T {
	messages := make([]T, len(y.cues))
	for i, cue := range y.cues {
		messages[i] = cue.Message
	}
	return messages
}
