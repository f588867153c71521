package view

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/stages/chronicle/store"
)

// unread notes why the history cannot be read.
func (s *Stage) unread(err error) {
	s.model.troubles = nil
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && (s.config.History.Size == 0 || s.fresh() || store.Ended(history(s.config))):
	case errors.Is(err, fs.ErrNotExist):
		s.trouble("there is no history in %s yet", config.Show(history(s.config)))
	default:
		s.trouble("%s", ask.Unread(err))
	}
}

// begins is how long a monitor that was just started may have no history yet.
const begins = 10 * time.Second

func (s *Stage) fresh() bool {
	return s.away == nil && s.model.base.Now.Sub(s.model.about.Since) < begins
}

func (s *Stage) trouble(format string, args ...any) {
	s.model.troubles = append(s.model.troubles, fmt.Sprintf(format, args...))
}

// saved takes what the monitor has saved.
func (s *Stage) saved(f *saved) {
	s.saving = nil
	if s.away == nil {
		return // it is back
	}
	s.model.base.AsOf, s.model.base.Stopped, s.model.base.Behind = f.status.AsOf, f.status.Stopped, f.status.Behind
	s.model.troubles = append(s.model.troubles, f.status.Troubles...)
	var other errOther
	if errors.As(s.away, &other) {
		s.trouble("%v", s.away)
	}
	switch {
	case errors.Is(f.err, fs.ErrPermission):
		s.trouble("cannot read the files of the monitor: %v; run this as a member of the group service-monitor", f.err)
	case errors.Is(f.err, fs.ErrNotExist):
		s.trouble("there are no files of a monitor at %s; start the monitor (systemctl start service-monitor), or name its state file with --persistence-file", config.Show(s.config.State.File))
	case f.err != nil:
		s.trouble("%v", f.err)
	default:
		for name := range s.model.units {
			if f.units[name] == nil {
				s.gone(name)
			}
		}
		for _, t := range f.units {
			s.put(t)
		}
	}
	s.news()
	s.load()
}
