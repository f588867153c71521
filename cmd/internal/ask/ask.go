// Package ask asks the monitor how the units are and why they crashed. If the monitor does not run, the
// answer comes from what it has saved.
package ask

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/statefile"
	"service-monitor/stages/zone"
)

// Status asks the running monitor how its units are. If there is none, it reads what was saved.
func Status(c config.Config, wants func(unit string) bool) (*tell.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	live := NewTold(c.State.File)
	complete, other := false, false
	err := feed.Listen(ctx, c.Feed.Socket, func(m feed.Message) bool {
		complete, other = m.Complete, !live.Take(m)
		return !complete && !other
	})
	switch {
	case err == nil && complete:
		return live.Status(wants), nil
	case err == nil && !other:
		err = cmp.Or(ctx.Err(), errCut)
	}
	s, failed := Saved(c.State.File, wants, zone.Local(time.Now()))
	if failed == nil {
		Silent(s, c, err)
	}
	return s, failed
}

// errCut is the error if the monitor ends the stream too early.
var errCut = errors.New("it has told only a part")

// Silent notes in a status that the monitor does not answer. err is what came instead of an answer. If the
// history does not say that the monitor has stopped, and something holds the history, the monitor is
// alive. Otherwise, if nobody listens on its socket, it was killed. Whoever takes the connection is alive, too.
func Silent(s *tell.Status, c config.Config, err error) {
	if !s.Stopped.IsZero() {
		return
	}
	nobody := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
	used := store.InUse(chronicle.Beside(c.State.File)) // only the monitor's own user and root can see that
	switch {
	case nobody && !used:
		s.Stopped = s.AsOf
	case errors.Is(err, fs.ErrPermission):
		s.Troubles = append(s.Troubles, fmt.Sprintf("cannot listen to the monitor: %v; run this as a member of the group service-monitor", err))
	case nobody, err == nil && used, errors.Is(err, context.DeadlineExceeded):
		s.Troubles = append(s.Troubles, fmt.Sprintf("it does not answer on %s; this is what it has saved", config.Show(c.Feed.Socket)))
	case err != nil:
		s.Troubles = append(s.Troubles, fmt.Sprintf("cannot listen to the monitor on %s: %v; this is what it has saved", config.Show(c.Feed.Socket), err))
	}
}

// answerIn is how long a monitor may take to answer.
const answerIn = 10 * time.Second

// Told is what a monitor has told.
type Told struct {
	units     map[string]*count.Tally
	monitor   feed.Monitor
	stateFile string
}

// NewTold returns a Told of the monitor with a state file, which has told nothing yet.
func NewTold(stateFile string) *Told {
	return &Told{units: map[string]*count.Tally{}, stateFile: stateFile}
}

// Take takes a message. It returns false if the monitor has another state file.
func (t *Told) Take(m feed.Message) bool {
	switch {
	case m.Monitor != nil:
		t.monitor = *m.Monitor
		return m.Monitor.State == t.stateFile
	case m.Unit != nil:
		t.units[m.Unit.Name] = m.Unit.Tally()
	case m.Gone != "":
		delete(t.units, m.Gone)
	}
	return true
}

// Status returns the present status of the units that are wanted.
func (t *Told) Status(wants func(unit string) bool) *tell.Status {
	s, _, _ := newStatus(t.units, t.stateFile, wants, zone.Local(time.Now()))
	s.Troubles, s.Monitor, s.Behind = append(slices.Clone(t.monitor.Troubles), s.Troubles...), t.monitor, t.monitor.CatchingUp
	return s
}

// Saved returns the status by the state file at path and the history beside it.
func Saved(path string, wants func(unit string) bool, now time.Time) (*tell.Status, error) {
	known, _, err := statefile.Read(path)
	if err != nil {
		return nil, err
	}
	s, monitor, err := newStatus(known, path, wants, now)
	AsSaved(s, path, &monitor, err)
	return s, nil
}

// AsSaved notes as of when the state file at path is, and when the monitor has stopped. monitor is the
// last record of the monitor itself, and history is why there is no such record, if the history could not be read.
// If there is none, nobody knows whether the counts are complete, and they are all that there is.
func AsSaved(s *tell.Status, path string, monitor *store.Record, history error) {
	if info, err := os.Stat(path); err == nil {
		s.AsOf = info.ModTime()
	}
	if !errors.Is(history, fs.ErrNotExist) { // it may have counted more than it has saved
		s.Behind = monitor.To != store.Stopped || monitor.Flags&store.Untold != 0
	}
	switch {
	case monitor.To == store.Stopped:
		s.Stopped = monitor.Time
	case monitor.To == store.Started && monitor.Boot != records.Boot(): // the monitor has ended with that boot
		s.Stopped = s.AsOf
	}
}

// Unread says why the history cannot be read.
func Unread(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("cannot read the history: %v; run this as a member of the group service-monitor", err)
	}
	return fmt.Sprintf("cannot read the history: %v", err)
}

// Hostname returns the name of this machine, as the status shows it.
func Hostname() string {
	name, _ := os.Hostname()
	return cmp.Or(name, "this machine")
}

// newStatus returns the present status of units, with what the history has of them. It also returns
// the last record of the monitor itself. If the history cannot be read, the status says so, and err says why.
func newStatus(known map[string]*count.Tally, path string, wants func(unit string) bool, now time.Time) (s *tell.Status, monitor store.Record, err error) {
	s = &tell.Status{Now: now, AsOf: now, Host: Hostname(), Clock: tell.Clock{Now: now, Boot: records.Boot(), Since: records.Clock()}}
	units := map[string]*tell.Unit{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if tally := known[name]; wants(name) && !Pattern(tally) {
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
		s.Troubles = append(s.Troubles, Unread(err))
	}
	for _, u := range s.Units {
		u.CatchUp(now)
	}
	return s, monitor, err
}

// Pattern reports whether a tally is the sum of a glob.
func Pattern(t *count.Tally) bool { return t.Life != nil && t.Life.Pattern || t.Folded > 0 }
