package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/feed"
)

// followHistory shows the history and each new event, until it is interrupted.
func followHistory(r *historyReader, c config.Config) error {
	if c.History.Size == 0 {
		return errors.New("there is no history to follow, because history_size is 0; service-monitor status --watch shows how the services are")
	}
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer end()
	context.AfterFunc(ctx, end) // if the output is stuck, a second signal ends the process
	f := &follower{historyReader: r, config: c, stderr: os.Stderr}
	return f.run(ctx)
}

// A follower shows what comes into the chronicle. The feed only says when to read the chronicle. So
// whatever happens to the feed, nothing is lost or shown twice.
type follower struct {
	*historyReader
	config config.Config
	stderr io.Writer
	failed error
}

func (f *follower) run(ctx context.Context) error {
	if f.failed = f.show(); f.failed != nil {
		return f.failed
	}
	err := feed.Follow(ctx, f.config.Feed.Socket, f.take, f.away)
	return errors.Join(f.failed, err)
}

// take handles a message of the feed. It reports whether to go on.
func (f *follower) take(m feed.Message) bool {
	var event struct{ Seq uint64 }
	switch {
	case m.Monitor != nil && m.Monitor.State != f.config.State.File:
		f.failed = errOther(f.config)
	case m.Event != nil && json.Unmarshal(m.Event, &event) == nil && event.Seq > f.seq, m.Complete:
		f.failed = f.show()
	}
	return f.failed == nil
}

// away says that there is no monitor. Before that, it shows what the last one has written.
func (f *follower) away(reason error) error {
	if err := f.show(); err != nil {
		return err
	}
	text := "the monitor does not run"
	if errors.Is(reason, fs.ErrPermission) {
		text = fmt.Sprintf("cannot listen to the monitor: %v", reason)
	}
	_, err := fmt.Fprintf(f.stderr, "service-monitor: %s; waiting for it\n", text)
	return err
}

// show shows what is new in the chronicle. There may be no chronicle yet.
func (f *follower) show() error {
	if err := f.read(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f.q.Last = 0; f.asJSON {
		return nil
	}
	b := bufio.NewWriter(f.stdout)
	f.h.Follow(b, screen(f.stdout))
	return b.Flush()
}
