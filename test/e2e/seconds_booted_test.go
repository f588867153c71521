//go:build booted

package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/feed"
)

// The messages with which PID 1 says that a run has ended.
const (
	endedFailed = "d9b373ed55a64feb8242e02dbe79a49c"
	endedWell   = "7ad2d189f7e94e70a38c781354912448"
)

// TestSeconds compares the seconds of a unit that crashes again and again with the journal. Meanwhile
// the monitor is stopped once, and killed once. Another unit runs all the time.
func TestSeconds(t *testing.T) {
	t.Parallel() // it mostly waits
	const loops, well = "loops.service", "well.service"
	b := bootBed(t, map[string]string{
		well:  stays,
		loops: "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'sleep 0.3; exit 3'\nRestart=on-failure\nRestartSec=200ms\n",
	}, []string{loops, well})
	b.sh("systemctl start service-monitor; systemctl start well loops")
	b.awaitCrashes(loops, 3)
	about := b.about()
	b.sh("systemctl stop service-monitor")
	b.awaitCrashes(loops, 6)
	b.sh("systemctl start service-monitor; systemctl kill -s KILL service-monitor; systemctl start service-monitor")
	b.awaitCrashes(loops, 9)
	recovered := b.about()
	b.sh("systemctl stop loops; systemctl stop service-monitor")
	b.wantTruth(loops, well)

	up, down, runs := b.spent(loops)
	state := readState(t, b.Machine)
	is := state[loops].Seconds
	near := float64(runs) * 0.03 // a run is seen a little later than it begins
	if off := is.Up - up; off > near || off < -near {
		t.Errorf("%s was up for %v s, but by the journal for %v s", loops, is.Up, up)
	}
	if off := is.Down - down; off > near || off < -near {
		t.Errorf("%s was down for %v s, but by the journal for %v s", loops, is.Down, down)
	}
	if is.Unobserved != 0 || is.Phase != "stopped" && is.Phase != "down" { // it may have waited for its restart
		t.Errorf("the journal has all of %s: %+v", loops, is)
	}
	if is := state[well].Seconds; is.Phase != "up" || is.Up+is.Down+is.Unobserved != 0 {
		t.Errorf("%s has been up since its start: %+v", well, is)
	}
	if c := about.Counters; c.Received == 0 || c.Written["state"] == 0 {
		t.Errorf("it has watched three crashes: %+v", c)
	}
	for when, c := range map[string]*feed.Counters{"at first": about.Counters, "after a kill": recovered.Counters} {
		if c == nil || !c.Connected || c.GapOpen || !c.ClockTrusted || c.Gaps == 0 || c.SaveFailures+c.LogFailures > 0 ||
			c.Written["log"] == 0 || len(c.Stalls) != 10 || (c.Recovered > 0) != (c == recovered.Counters) {
			t.Errorf("counters %s: %+v", when, c)
		}
	}
}

// about returns what the monitor says of itself.
func (b *bed) about() feed.Monitor {
	b.t.Helper()
	var m feed.Message
	line := b.sh(`perl -MIO::Socket::UNIX -e 'print scalar readline(IO::Socket::UNIX->new("/run/service-monitor/feed"))'`)
	if err := json.Unmarshal([]byte(line), &m); err != nil || m.Monitor == nil {
		b.t.Fatalf("%q: %v", line, err)
	}
	return *m.Monitor
}

// spent returns how many seconds a unit was up and down by the journal of PID 1, and how many runs it
// had.
func (b *bed) spent(unit string) (up, down float64, runs int) {
	b.t.Helper()
	var begun, crashed time.Duration
	last := ""
	text := must(b.t, b.Machine, "journalctl", "-q", "-o", "json", "_PID=1", "UNIT="+unit)
	for entries := json.NewDecoder(strings.NewReader(text)); entries.More(); {
		var e struct {
			ID    string `json:"INVOCATION_ID"`
			What  string `json:"MESSAGE_ID"`
			Clock string `json:"__MONOTONIC_TIMESTAMP"`
		}
		if err := entries.Decode(&e); err != nil {
			b.t.Fatal(err)
		}
		us, err := strconv.ParseInt(e.Clock, 10, 64)
		if err != nil {
			b.t.Fatal(err)
		}
		at := time.Duration(us) * time.Microsecond
		if e.ID != "" && e.ID != last {
			if last, begun, runs = e.ID, at, runs+1; crashed > 0 {
				down += (at - crashed).Seconds()
				crashed = 0
			}
		}
		if begun > 0 && (e.What == endedFailed || e.What == endedWell) {
			up += (at - begun).Seconds()
			if begun = 0; e.What == endedFailed {
				crashed = at
			}
		}
	}
	return up, down, runs
}
