package feed

import (
	"context"
	"errors"
)

// errSilent is returned if the stream ends before its first line.
var errSilent = errors.New("the monitor says nothing")

// About asks a monitor what it says of itself, with its present counters.
func About(ctx context.Context, socket string) (about Monitor, err error) {
	told := false
	err = Listen(ctx, socket, func(m Message) bool {
		if told = m.Monitor != nil; told {
			about = *m.Monitor
		}
		return false
	})
	switch {
	case err != nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	case !told:
		err = errSilent
	}
	return about, err
}
