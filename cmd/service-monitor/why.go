package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"service-monitor/cmd/service-monitor/internal/cli"
	"service-monitor/cmd/service-monitor/internal/config"
	"service-monitor/cmd/service-monitor/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/zone"
)

// showWhy shows why a service crashed.
func showWhy(l cli.Line, stdout io.Writer) error {
	if len(l.Args) != 1 {
		return config.Misuse("why needs the name of one service, found %d; service-monitor status lists them", len(l.Args))
	}
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	path, now := loaded.Config.State.File, zone.Local(time.Now())
	y := &tell.Why{Number: int64(l.Ask.Crash), Full: l.Ask.Full}
	err = asOwner(func() error { return readWhy(path, l, y, now) }, path)
	switch {
	case err != nil:
		return unread(err, path)
	case y.Unit == nil:
		return fmt.Errorf("none of the monitored services is called %s; %w; service-monitor status lists them all", config.Show(l.Args[0]), errNoUnit)
	case y.Number > 0 && !y.Has():
		return fmt.Errorf("the history has no crash %d of %s; service-monitor history %[2]s --crashes lists them; %w", y.Number, y.Unit.Unit, errNoUnit)
	}
	y.Write(stdout, screen(stdout), now)
	return nil
}

// readWhy reads the state file, and the history twice. Only after the first time it is known which
// crash it is, and the second time finds what was near that crash.
func readWhy(path string, l cli.Line, y *tell.Why, now time.Time) error {
	s, err := readStatus(path, func(unit string) bool { return unit == l.Args[0] }, now)
	if err != nil || len(s.Units) == 0 {
		return err
	}
	y.Unit = &tell.Unit{Tally: s.Units[0].Tally}
	for _, add := range []func(r *store.Record){func(r *store.Record) { y.Add(r, now) }, y.Near} {
		_, err := store.Read(chronicle.Beside(path), func(r *store.Record) bool { add(r); return true })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	y.Unit.CatchUp(now)
	y.Uptime = s.Availability(y.Unit)
	y.Boxes, err = blackbox.Read(blackbox.Beside(chronicle.Beside(path)), l.Args[0])
	return err
}
