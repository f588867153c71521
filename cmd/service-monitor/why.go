package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"service-monitor/cmd/service-monitor/internal/cli"
	"service-monitor/cmd/service-monitor/internal/config"
	"service-monitor/cmd/service-monitor/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/decode"
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
	c := loaded.Config
	y := &tell.Why{Number: int64(l.Ask.Crash), Full: l.Ask.Full}
	err = asOwner(func() error { return readWhy(c, l.Args[0], y) }, c.State.File)
	switch {
	case err != nil:
		return unread(err, c.State.File)
	case y.Number > 0 && !y.Has():
		return noSuch{fmt.Errorf("the history has no crash %d of %s; service-monitor history %[2]s --crashes lists them", y.Number, config.Show(y.Unit.Unit))}
	}
	if l.Ask.JSON {
		return y.WriteJSON(stdout)
	}
	return whole(stdout, screen(stdout), y.Write)
}

// readWhy reads how the unit is, and the history twice: what was near a crash is known only when the
// crash is.
func readWhy(c config.Config, unit string, y *tell.Why) (err error) {
	y.Status, err = liveStatus(c, func(name string) bool { return name == unit })
	if err != nil {
		return err
	}
	if len(y.Status.Units) == 0 {
		return noSuchUnit(c, unit)
	}
	y.Unit = &tell.Unit{Tally: y.Status.Units[0].Tally}
	history := chronicle.Beside(c.State.File)
	if err := readAll(history, y.Add); err != nil {
		return err
	}
	y.CatchUp()
	if err := readAll(history, y.Near); err != nil {
		return err
	}
	if y.Unit.Life.Known() && y.Unit.State != decode.NotLoaded {
		planner{}.addTo([]*tell.Unit{y.Unit})
	}
	y.Uptime = y.Status.Availability(y.Unit)
	y.Boxes, err = blackbox.Read(blackbox.Beside(history), unit)
	return err
}

// readAll reads the history, if there is one.
func readAll(history string, add func(r *store.Record)) error {
	_, err := store.Read(history, func(r *store.Record) bool { add(r); return true })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
