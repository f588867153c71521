//go:build booted

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// fsyncs is the log of strace(1).
const fsyncs = logDir + "/fsyncs"

// delayed matches a call, and the end of one that strace has told in two parts because another
// thread made a call meanwhile.
var delayed = regexp.MustCompile(`fsync(?:\(\d+\)| resumed>\)) .*<(\d+)\.`)

// wantStalled wants the disk to have stalled all the time.
func (s *storm) wantStalled() {
	s.t.Helper()
	text, err := s.ReadFile(fsyncs)
	if err != nil {
		s.t.Fatal(err)
	}
	stalls := delayed.FindAllStringSubmatch(text, -1)
	if len(stalls) < 2 {
		s.t.Errorf("the disk did not stall: %q", text)
	}
	for _, stall := range stalls {
		if seconds, err := strconv.Atoi(stall[1]); err != nil || seconds < 5 {
			s.t.Errorf("a stall of less than 5 s: %q", stall[0])
		}
	}
	s.t.Logf("%d stalls", len(stalls))
}

// awaitSaved waits until the state file has all runs of these units. Nothing
// tells when a file is replaced, so it is read repeatedly.
func (s *storm) awaitSaved(units ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stormLimit)
	defer cancel()
	runs := s.runs()
	for {
		state, missing := readState(s.t, s.Machine), ""
		for _, unit := range units {
			if state[unit].Starts != runs[unit] || state[unit].Stops != 1 {
				missing = fmt.Sprintf("%s ran %d times; saved %+v", unit, runs[unit], state[unit])
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatal(missing)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestFallBehind lets the daemon fall behind until its bound is reached. Nobody
// reads its standard output while 200 units crash. The daemon must still read on,
// report what it has lost, and find it in the journal.
func TestFallBehind(t *testing.T) {
	const trigger = "trigger.service"
	for _, tt := range []struct {
		name     string
		services []string
	}{
		{"units that are known", append(swarmUnits(), trigger)},
		{"units of a glob, which appear meanwhile", []string{"swarm@*.service", trigger}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := bootStorm(t, 5, "StandardOutput=file:/run/console", "StandardError=journal",
				"WatchdogSec=2min") // a shorter watchdog would rightly end the daemon
			s.configure(t, map[string]any{"monitored_services": tt.services})
			s.fallBehind()
			// The line about this start comes after those about the gap.
			s.sh("systemctl start trigger")
			s.awaitLogged(trigger, "Incrementing start counter -> 1")
			s.crash(trigger)
			s.awaitLogged(trigger, "Incrementing crash counter -> 1")
			s.wantCalm()
			s.wantRuns(swarmUnits()...)
			s.wantTruth(append(swarmUnits(), trigger)...)
		})
	}
}

// fallBehind starts the daemon and the swarm, and lets the daemon write again
// when the storm is over.
func (s *storm) fallBehind() {
	s.t.Helper()
	s.sh("mkfifo -m 666 /run/console")
	console := s.follow("sh", "-c", "exec cat 0<>/run/console")
	s.start()
	s.sh(startSwarm)
	s.awaitEnds(swarm)
	go func() {
		for console.Scan() { // from now on the output is read again
		}
	}()
	s.awaitLogged("fell behind and dropped signals", "units: ")
}

// awaitLogged waits for a line of the log file. The journal may be late here, and may lack lines.
func (s *storm) awaitLogged(texts ...string) {
	s.t.Helper()
	s.awaitLine([]string{"tail", "-n", "+1", "-F", logPath}, texts...)
}
