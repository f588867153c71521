package main

import (
	"io"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
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
	err = asOwner(func() error { return ask.Why(c, l.Args[0], y) }, c.State.File)
	switch {
	case err != nil:
		return unread(err, c.State.File)
	case y.Number > 0 && !y.Has():
		return ask.NoSuchCrash(y)
	}
	if l.Ask.JSON {
		return y.WriteJSON(stdout)
	}
	return whole(stdout, screen(stdout), y.Write)
}
