package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/statefile"
	"service-monitor/stages/statefile/format"
)

var errNoCopy = errors.New("the copies that end in .before-removal, and in .1 to .4 behind that, have what can be put back")

// restoreCounts puts back the counts of services that were removed from the list, and prints
// which. It restores these units, or all if units is empty.
func restoreCounts(c config.Config, units []string, stdout io.Writer) error {
	path := c.State.File
	state, err := statefile.Open(path)
	if err != nil {
		return fileError("restore counts in the state file", path, err)
	}
	defer state.Close()
	wanted := func(unit string) bool { return len(units) == 0 || watch.Match(units, unit) }
	restored, notes, err := state.Restore(wanted)
	for _, note := range notes {
		fmt.Fprintln(stdout, note)
	}
	if err != nil {
		return fileError("restore counts in the state file", path, err)
	}
	for _, r := range restored {
		fmt.Fprintln(stdout, returned(r))
		if len(r.From) > 0 && !watch.Match(c.Services, r.Unit) {
			fmt.Fprintf(stdout, "%q: it is not in the list of services; name it there, or the monitor removes it again at its next start\n", r.Unit)
		}
	}
	return missing(units, restored, path, stdout)
}

// returned returns a line about the counts of a unit that were put back.
func returned(r statefile.Restored) string {
	switch from := strings.Join(r.From, " and "); {
	case len(r.From) == 0:
		return fmt.Sprintf("%q: nothing to put back; its counts have all that was dropped: %s", r.Unit, format.CountsText(&r.Total))
	case r.Added:
		return fmt.Sprintf("%q: %s put back from %s, and added to what was counted since: %s", r.Unit, format.CountsText(&r.PutBack), from, format.CountsText(&r.Total))
	default:
		return fmt.Sprintf("%q: %s put back from %s", r.Unit, format.CountsText(&r.PutBack), from)
	}
}

// missing returns an error that names the entries of wanted for which no counts were found.
func missing(wanted []string, restored []statefile.Restored, path string, stdout io.Writer) error {
	if len(wanted) == 0 && len(restored) == 0 {
		fmt.Fprintf(stdout, "nothing to put back: no copy beside %s has counts of a service that was dropped\n", path)
	}
	var none []string
	for _, entry := range wanted {
		if !slices.ContainsFunc(restored, func(r statefile.Restored) bool { return watch.Match([]string{entry}, r.Unit) }) {
			none = append(none, fmt.Sprintf("%q", entry))
		}
	}
	if len(none) > 0 {
		return fmt.Errorf("no copy beside %s has dropped counts of %s; %w", path, strings.Join(none, ", "), errNoCopy)
	}
	return nil
}
