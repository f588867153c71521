package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

// These errors say what to do about a bad state file.
var (
	errNoState    = errors.New("name a state file that is there and may be read")
	errDamaged    = errors.New("if it is a state file at all, the monitor keeps a copy of it at its next start, reads what it can, and takes the rest from the generation before")
	errUnbalanced = errors.New("if it was edited, stop the monitor and undo that; if not, it is an error of the monitor: report it with the file")
	errHistory    = errors.New("if the state file was edited or counts were put back, start the monitor: it brings the two together; if not, it is an error of the monitor: report it with both")
	errNewer      = errors.New("that version can read it")
)

// checkState checks the counts in a state file, and prints what is wrong with them. It only
// reads the file.
func checkState(path string, stdout io.Writer) error {
	units, findings, err := statefile.Read(path)
	damaged := make(map[string]bool)
	for _, f := range findings {
		fmt.Fprintf(stdout, "%s: %v\n", path, f)
		if f.Lost {
			damaged[f.Unit] = true
		}
	}
	switch {
	case errors.Is(err, statefile.ErrDamaged):
		return fmt.Errorf("%w; %w", err, errDamaged)
	case errors.Is(err, statefile.ErrNewer):
		return fmt.Errorf("%w; %w", err, errNewer)
	case err != nil:
		return fmt.Errorf("%w; %w", err, errNoState)
	case len(damaged) > 0:
		return fmt.Errorf("%s: something is wrong with %d of its records; %w", path, len(damaged), errDamaged)
	}
	return checkCounts(path, units, stdout)
}

// checkCounts checks the counts of the units that could be read.
func checkCounts(path string, units map[string]*count.Tally, stdout io.Writer) error {
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
	return checkHistory(path, units, stdout)
}

// addUp adds up the records of a chronicle. complete is true if the monitor has stopped after it had
// written all.
func addUp(dir string) (sums store.Sums, complete bool, damages []store.Damage, err error) {
	damages, err = store.Read(dir, func(r *store.Record) bool {
		sums.Add(r)
		complete = r.Kind == store.Monitor && r.To == store.Stopped && r.Flags&store.Untold == 0
		return true
	})
	return sums, complete, damages, err
}

// checkHistory checks whether the records of the chronicle beside a state file add up to its counts.
// If a monitor is running, or was killed, it has not saved all of both. It brings them together at its
// next start. So only the records are checked then, and beside an earlier generation or a copy of the state file, too.
func checkHistory(path string, units map[string]*count.Tally, stdout io.Writer) error {
	dir := chronicle.Beside(path)
	used := store.InUse(dir)
	sums, complete, damages, err := addUp(dir)
	if used && len(sums.Faults) > 0 { // it was written meanwhile
		sums, complete, damages, err = addUp(dir)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot read the history: %w; %w", err, errNoState)
	}
	for _, d := range damages {
		fmt.Fprintln(stdout, d)
	}
	wrong := len(sums.Faults)
	for _, f := range sums.Faults {
		fmt.Fprintf(stdout, "%s: %q: %s\n", dir, f.Unit, f)
	}
	apart := apartFromHistory(path)
	if apart != "" {
		fmt.Fprintf(stdout, "%s: %s\n", path, apart)
	}
	if complete && !used && apart == "" {
		wrong += compare(dir, sums, units, stdout)
	}
	if wrong > 0 {
		return fmt.Errorf("%s: the history does not fit the state file in %d places; %w", path, wrong, errHistory)
	}
	fmt.Fprintf(stdout, "%s: the history of %d services adds up\n", dir, len(sums.Units))
	return nil
}

// apartFromHistory says why the history is not that of a state file; empty if it is.
func apartFromHistory(path string) string {
	switch {
	case statefile.Earlier(path):
		return "it is an earlier generation, so its counts are not compared with the history, which has gone on since"
	case !statefile.Used(path):
		return fmt.Sprintf("no monitor has used it under this name, for there is no %s, so its counts are not compared with the history", filepath.Base(path)+files.LockSuffix)
	}
	return ""
}

// compare prints in which units the history does not add up to the state file, and returns how many they are.
func compare(dir string, sums store.Sums, units map[string]*count.Tally, stdout io.Writer) (wrong int) {
	for _, unit := range slices.Sorted(maps.Keys(sums.Units)) {
		tally := units[unit]
		if tally == nil {
			tally = &count.Tally{}
		}
		if l := tally.Life; l != nil && (!l.Opened.IsZero() || l.Pending() != 0) {
			continue // what the history has may still be to be counted
		}
		if has, is := sums.Units[unit].After, chronicle.Counts(tally); has != is {
			wrong++
			fmt.Fprintf(stdout, "%s: %q: the history adds up to %+v, the state file has %+v\n", dir, unit, has, is)
		}
	}
	return wrong
}
