package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/feed"
	"service-monitor/stages/statefile"
)

// These errors only choose the exit code, because other words say what is wrong.
var (
	errAttention = errors.New("some services need attention, or the monitor does")
)

// showStatus shows how the services are.
func showStatus(l cli.Line, stdout io.Writer) error {
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	var s *tell.Status
	path := loaded.Config.State.File
	err = asOwner(func() (err error) {
		if l.Ask.Watch {
			return watchStatus(l, loaded.Config, stdout)
		}
		if s, err = ask.Status(loaded.Config, l.Wants); err != nil {
			return err
		}
		if len(s.Units) == 0 && len(l.Args) > 0 {
			return ask.NoSuchUnit(loaded.Config, l.Args[0])
		}
		ask.Planner{}.Add(s)
		return nil
	}, path)
	if err != nil || s == nil {
		return unread(err, path)
	}
	if l.Ask.JSON {
		err = s.WriteJSON(stdout)
	} else {
		s.Wide = l.Ask.Wide
		err = page(stdout, l.Ask.NoPager, func(w io.Writer) error { return whole(w, screen(stdout), s.Write) })
	}
	missing := l.Missing(s.Names())
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return ask.NoSuchUnit(loaded.Config, missing[0])
	case s.Attention() > 0 || len(s.Troubles) > 0 || !s.Stopped.IsZero():
		return errAttention
	}
	return nil
}

// whole collects the text of write, and writes it at once. So it is known whether all of it has arrived.
func whole(out io.Writer, s tell.Screen, write func(io.Writer, tell.Screen)) error {
	var b bytes.Buffer
	write(&b, s)
	_, err := out.Write(b.Bytes())
	return err
}

// watchStatus shows the status after each change, until it is interrupted.
func watchStatus(l cli.Line, c config.Config, stdout io.Writer) error {
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer end()
	if f, ok := stdout.(*os.File); !ok || l.Ask.JSON || !terminal(f) {
		return config.Misuse("--watch needs a terminal, and no --json; service-monitor status --json shows it once")
	}
	fmt.Fprint(stdout, "\x1b[?1049h\x1b[?25l")       // another screen, and no cursor
	defer fmt.Fprint(stdout, "\x1b[?25h\x1b[?1049l") // and back
	messages, ended := make(chan feed.Message), make(chan error, 1)
	listening, leave := context.WithCancel(ctx)
	defer leave()
	go func() {
		ended <- feed.Listen(listening, c.Feed.Socket, func(m feed.Message) bool {
			select {
			case messages <- m:
			case <-listening.Done():
			}
			return listening.Err() == nil
		})
	}()
	live, ready, drawing := ask.NewTold(c.State.File), false, false
	plans := ask.Planner{}
	draw := time.NewTimer(0)
	draw.Stop()
	for {
		select {
		case m := <-messages:
			if !live.Take(m) {
				return errOther(c)
			}
			if m.Complete || ready && !drawing {
				draw.Reset(redraw)
				drawing = true
			}
			ready = ready || m.Complete
		case <-draw.C:
			drawing = false
			s := live.Status(l.Wants)
			plans.Add(s)
			s.Wide = l.Ask.Wide
			var text bytes.Buffer
			screen := screen(stdout)
			s.Write(&text, screen)
			if _, err := fmt.Fprint(stdout, "\x1b[H\x1b[J"+screen.Top(text.String())); err != nil {
				return err
			}
		case err := <-ended:
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				return fmt.Errorf("cannot listen to the monitor: %w; %w", err, errNoHistory)
			}
			return errors.New("the monitor has ended; service-monitor status shows what it has saved")
		}
	}
}

// errOther returns the error for a monitor that runs, but with another state file.
func errOther(c config.Config) error {
	return fmt.Errorf("the monitor on %s has another state file than %s; name that with --persistence-file", config.Show(c.Feed.Socket), config.Show(c.State.File))
}

// redraw is how long changes are collected before they are shown, because the whole history is read
// each time.
const redraw = 200 * time.Millisecond

// unread says why counts or history beside the state file at path could not be read, and what to do.
func unread(err error, path string) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot read the files of the monitor: %w; %w", err, errRights)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there are no files of a monitor at %s; %w", config.Show(path), errNoHistory)
	case errors.Is(err, statefile.ErrDamaged):
		return fmt.Errorf("%w; %w", err, errDamaged)
	case errors.Is(err, statefile.ErrNewer):
		return fmt.Errorf("%w; %w", err, errNewer)
	case unopened(err):
		return fmt.Errorf("%w; %w", err, errNoHistory)
	}
	return err
}

// unopened reports whether a file could not be opened. An error of the output is another one.
func unopened(err error) bool {
	path, ok := errors.AsType[*fs.PathError](err)
	return ok && path.Op == "open"
}
