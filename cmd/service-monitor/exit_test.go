package main

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/stages/bus"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("bus: gone"), 1},
		{errAttention, 3},
		{fmt.Errorf("x: %w", ask.ErrNotFound), 4},
		{config.Misuse("unknown flag"), 64},
		{fmt.Errorf("cannot check: %w; %w", statefile.ErrDamaged, errDamaged), 65},
		{fmt.Errorf("cannot check: %w; %w", statefile.ErrNewer, errNewer), 65},
		{errUnbalanced, 65},
		{errNoState, 66},
		{errNoCopy, 66},
		{errNoHistory, 66},
		{errRights, 77},
		{fmt.Errorf("bus: %w", bus.ErrNoBus), 69},
		{fmt.Errorf("cannot open: %w", errFile), 73},
		{fileError("use the state file", "/s", files.ErrHeld), 75},
		{fileError("use the state file", "/s", statefile.ErrNewer), 78},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
	}
	for _, c := range codes {
		if !slices.ContainsFunc(exits, func(e cli.Exit) bool { return e.Code == c.code }) {
			t.Errorf("the help has no exit code %d", c.code)
		}
	}
}
