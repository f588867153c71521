package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"service-monitor/cmd/service-monitor/internal/cli"
	"service-monitor/cmd/service-monitor/internal/config"
	"service-monitor/cmd/service-monitor/internal/tell"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/statefile"
	"service-monitor/stages/zone"
)

// These errors of status only choose the exit code. What there is to say is on standard output.
var (
	errAttention = errors.New("some services need attention")
	errNoUnit    = errors.New("there is no such service")
)

// showStatus shows how the services are, as far as the monitor has saved it.
func showStatus(l cli.Line, stdout io.Writer) error {
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	var s *tell.Status
	path := loaded.Config.State.File
	err = asOwner(func() (err error) { s, err = readStatus(path, l.Wants, zone.Local(time.Now())); return err }, path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot read the counts: %w; %w", err, errRights)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there are no counts in %s; %w", config.Show(path), errNoHistory)
	case err != nil:
		return err
	case len(s.Units) == 0 && len(l.Args) > 0:
		return fmt.Errorf("none of the monitored services is called %s; %w; service-monitor status lists them all", config.Show(l.Args[0]), errNoUnit)
	}
	if l.Ask.JSON {
		err = s.WriteJSON(stdout)
	} else {
		s.Write(stdout, screen(stdout))
	}
	if err == nil && s.Attention() > 0 {
		err = errAttention
	}
	return err
}

// readStatus reads the state file and the history beside it.
func readStatus(path string, wants func(unit string) bool, now time.Time) (*tell.Status, error) {
	known, _, err := statefile.Read(path)
	if err != nil {
		return nil, err
	}
	s := &tell.Status{Now: now}
	if s.Host, err = os.Hostname(); err != nil {
		s.Host = "this machine"
	}
	if info, err := os.Stat(path); err == nil {
		s.AsOf = info.ModTime()
	}
	units := map[string]*tell.Unit{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if tally := known[name]; wants(name) && !pattern(tally) {
			units[name] = &tell.Unit{Tally: tally}
			s.Units = append(s.Units, units[name])
		}
	}
	var monitor store.Record
	_, err = store.Read(chronicle.Beside(path), func(r *store.Record) bool {
		if s.Since.IsZero() {
			s.Since = r.Time
		}
		if u := units[r.Unit]; u != nil {
			u.Add(r, now)
		}
		if r.Kind == store.Monitor {
			monitor = *r
		}
		return true
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case monitor.To == chronicle.Stopped:
		s.Stopped = monitor.Time
	case monitor.To == chronicle.Started && monitor.Boot != records.Boot(): // it ended with that boot
		s.Stopped = s.AsOf
	}
	return s, nil
}

// pattern reports whether a tally is the sum of a glob.
func pattern(t *count.Tally) bool { return t.Life != nil && t.Life.Pattern || t.Folded > 0 }
