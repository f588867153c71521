package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"service-monitor/stages/persist"
)

// What to do about a state file that is not good.
var (
	errNoState    = errors.New("name a state file that is there and may be read")
	errDamaged    = errors.New("if it is a state file at all, the monitor keeps it aside at its next start, and goes on from the generation before")
	errUnbalanced = errors.New("if it was edited, stop the monitor and undo that; if not, it is an error of the monitor: report it with the file")
)

// checkState checks what is counted in a state file, which it only reads, and
// prints what cannot be.
func checkState(path string, stdout io.Writer) error {
	units, err := persist.Read(path)
	switch {
	case errors.Is(err, persist.ErrDamaged):
		return fmt.Errorf("%w; %w", err, errDamaged)
	case err != nil:
		return fmt.Errorf("%w; %w", err, errNoState)
	}
	unseen, wrong := 0, 0
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		tally := units[unit]
		faults := tally.Check()
		for _, fault := range faults {
			fmt.Fprintf(stdout, "%s: %q: %s\n", path, unit, fault)
		}
		if len(faults) > 0 {
			wrong++
		} else if !tally.Life.Known() {
			unseen++
		}
	}
	switch {
	case wrong > 0:
		return fmt.Errorf("%s: %d of %d services cannot be right; %w", path, wrong, len(units), errUnbalanced)
	case unseen > 0:
		fmt.Fprintf(stdout, "%s: %d services, of which %d balance and %d cannot be checked: not seen by this monitor yet\n",
			path, len(units), len(units)-unseen, unseen)
	default:
		fmt.Fprintf(stdout, "%s: %d services, all counts balance\n", path, len(units))
	}
	return nil
}
