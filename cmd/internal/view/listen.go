// Package view knows how all units are, and what the history has of them, from what the monitor tells on
// its feed and from the chronicle. The chronicle is read once; after that only what is new. While the
// monitor is away, the view is of what it has saved.
package view

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"service-monitor/pipeline"
	"service-monitor/stages/feed"
)

// retry is how long to wait if it is not possible to wait for the feed itself.
const retry = 5 * time.Second

// News is something that the feed tells. One of its fields is set.
type News struct {
	Monitor  *feed.Monitor
	Unit     *feed.Unit
	Gone     string
	Complete bool
	Seq      uint64 // of an event that is in the chronicle
	Away     error  // nobody tells anything, and why
}

// A Listener is the stage that listens to the feed. It waits for the monitor if there is none.
type Listener struct{ socket string }

// Listen returns a listener at a socket.
func Listen(socket string) *Listener { return &Listener{socket} }

// Run sends what the feed tells until ctx is done.
func (l *Listener) Run(ctx context.Context, p *pipeline.Port[pipeline.None, News]) error {
	heard := make(chan News)
	go l.follow(ctx, func(n News) bool {
		select {
		case heard <- n:
			return true
		case <-ctx.Done():
			return false
		}
	})
	for {
		select {
		case n := <-heard:
			if err := p.Send(ctx, n); err != nil {
				return err
			}
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return nil
		}
	}
}

// follow calls tell with what the feed tells until ctx is done.
func (l *Listener) follow(ctx context.Context, tell func(News) bool) {
	take := func(m feed.Message) bool {
		n := News{Monitor: m.Monitor, Unit: m.Unit, Gone: m.Gone, Complete: m.Complete}
		var event struct{ Seq uint64 }
		if m.Event != nil && json.Unmarshal(m.Event, &event) == nil {
			n.Seq = event.Seq
		}
		return tell(n)
	}
	// Nothing tells when a right is given, so Follow must not wait for it.
	away := func(reason error) error {
		if errors.Is(reason, fs.ErrPermission) {
			return reason
		}
		tell(News{Away: reason})
		return nil
	}
	for {
		err := feed.Follow(ctx, l.socket, take, away)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			tell(News{Away: err})
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return
		}
	}
}
