package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"service-monitor/cmd/service-monitor/internal/cli"
	"service-monitor/cmd/service-monitor/internal/config"
	"service-monitor/cmd/service-monitor/internal/tell"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/statefile"
	"service-monitor/stages/zone"
)

// These errors only choose the exit code, because other words say what is wrong.
var (
	errAttention = errors.New("some services need attention, or the monitor does")
	errNoUnit    = errors.New("there is no such service")
)

// noSuch is an error with the exit code of errNoUnit.
type noSuch struct{ error }

func (noSuch) Is(target error) bool { return target == errNoUnit }

// noSuchUnit returns the error for a name of which there is no unit.
func noSuchUnit(c config.Config, name string) error {
	s, err := liveStatus(c, func(string) bool { return true })
	if err != nil {
		return err
	}
	return noSuch{fmt.Errorf("none of the monitored services is called %s; %s", config.Show(name), meant(name, s.Names()))}
}

// meant says which unit was probably meant. All have the same suffix, so that counts for nothing.
func meant(name string, units []string) string {
	var names []string
	for _, u := range units {
		names = append(names, strings.TrimSuffix(u, ".service"))
	}
	if better := config.Nearest(strings.TrimSuffix(name, ".service"), names); better != "" {
		return fmt.Sprintf("did you mean %s?", config.Show(better))
	}
	return "service-monitor status lists them all"
}

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
		if s, err = liveStatus(loaded.Config, l.Wants); err != nil {
			return err
		}
		if len(s.Units) == 0 && len(l.Args) > 0 {
			return noSuchUnit(loaded.Config, l.Args[0])
		}
		planner{}.add(s)
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
		return noSuchUnit(loaded.Config, missing[0])
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

// liveStatus asks the running monitor. If there is none, it reads what was saved.
func liveStatus(c config.Config, wants func(unit string) bool) (*tell.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	live := told{units: map[string]*count.Tally{}, stateFile: c.State.File}
	complete := false
	err := feed.Listen(ctx, c.Feed.Socket, func(m feed.Message) bool {
		complete = m.Complete
		return live.take(m) && !complete
	})
	if err == nil && complete {
		return live.status(wants)
	}
	s, failed := readStatus(c.State.File, wants, zone.Local(time.Now()))
	if failed == nil && s.Stopped.IsZero() {
		silent(s, c, err)
	}
	return s, failed
}

// silent is called if nobody answers, although the history does not say that the monitor has stopped.
// If something holds the history, the monitor is alive and does not answer. Otherwise, if nobody
// listens on its socket, it was killed.
func silent(s *tell.Status, c config.Config, err error) {
	nobody := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
	switch {
	case store.InUse(chronicle.Beside(c.State.File)):
		s.Troubles = append(s.Troubles, fmt.Sprintf("it does not answer on %s; this is what it has saved", config.Show(c.Feed.Socket)))
	case nobody:
		s.Stopped = s.AsOf
	}
}

// answerIn is how long a monitor may take to answer.
const answerIn = 10 * time.Second

// told is what a monitor has told.
type told struct {
	units     map[string]*count.Tally
	troubles  []string
	stateFile string
}

// take takes a message. It returns false if the monitor has another state file.
func (t *told) take(m feed.Message) bool {
	switch {
	case m.Monitor != nil:
		t.troubles = m.Monitor.Troubles
		return m.Monitor.State == t.stateFile
	case m.Unit != nil:
		t.units[m.Unit.Name] = m.Unit.Tally()
	case m.Gone != "":
		delete(t.units, m.Gone)
	}
	return true
}

// status returns the present status.
func (t *told) status(wants func(unit string) bool) (*tell.Status, error) {
	s, _, err := newStatus(t.units, t.stateFile, wants, zone.Local(time.Now()))
	if err == nil {
		s.Troubles = t.troubles
	}
	return s, err
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
	live, ready, drawing := told{units: map[string]*count.Tally{}, stateFile: c.State.File}, false, false
	plans := planner{}
	draw := time.NewTimer(0)
	draw.Stop()
	for {
		select {
		case m := <-messages:
			if !live.take(m) {
				return errOther(c)
			}
			if m.Complete || ready && !drawing {
				draw.Reset(redraw)
				drawing = true
			}
			ready = ready || m.Complete
		case <-draw.C:
			drawing = false
			s, err := live.status(l.Wants)
			if err != nil {
				return err
			}
			plans.add(s)
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

// readStatus reads the state file and the history beside it.
func readStatus(path string, wants func(unit string) bool, now time.Time) (*tell.Status, error) {
	known, _, err := statefile.Read(path)
	if err != nil {
		return nil, err
	}
	s, monitor, err := newStatus(known, path, wants, now)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil {
		s.AsOf = info.ModTime()
	}
	switch {
	case monitor.To == store.Stopped:
		s.Stopped = monitor.Time
	case monitor.To == store.Started && monitor.Boot != records.Boot(): // the monitor has ended with that boot
		s.Stopped = s.AsOf
	}
	return s, nil
}

// newStatus returns the present status of units, with what the history has of them. It also returns
// the last record of the monitor itself.
func newStatus(known map[string]*count.Tally, path string, wants func(unit string) bool, now time.Time) (s *tell.Status, monitor store.Record, err error) {
	s = &tell.Status{Now: now, AsOf: now, Clock: tell.Clock{Now: now, Boot: records.Boot(), Since: records.Clock()}}
	if s.Host, err = os.Hostname(); err != nil {
		s.Host = "this machine"
	}
	units := map[string]*tell.Unit{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if tally := known[name]; wants(name) && !pattern(tally) {
			units[name] = &tell.Unit{Tally: tally}
			s.Units = append(s.Units, units[name])
		}
	}
	_, err = store.Read(chronicle.Beside(path), func(r *store.Record) bool {
		r = s.Clock.Right(r)
		s.Clock.Add(r)
		s.Reach(r)
		if u := units[r.Unit]; u != nil {
			u.Add(r, now)
		}
		if r.Kind == store.Monitor {
			monitor = *r
		}
		return true
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, monitor, err
	}
	for _, u := range s.Units {
		u.CatchUp(now)
	}
	return s, monitor, nil
}

// pattern reports whether a tally is the sum of a glob.
func pattern(t *count.Tally) bool { return t.Life != nil && t.Life.Pattern || t.Folded > 0 }
