//go:build booted

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"service-monitor/test/gateway"
)

// These limits hold for the daemon, whatever happens to the units.
const (
	peakMemory = 16 << 10 // kB resident
	// peakQueue is how many bytes the bus may have to queue for the daemon. A storm is 2 to
	// 4 MB a second, and a socket holds 0.2 MB. So it shows if the daemon does not read for a
	// second. On a busy machine the daemon may get no processor for some tenths of a second.
	peakQueue = 2 << 20
)

const (
	swarm      = 200 // units
	swarmRuns  = 21  // runs of each unit: the first, and 20 restarts
	loopFor    = 20 * time.Second
	stormLimit = 15 * time.Minute // far more than any storm takes
)

// stormScript is the program of the units of a storm. They count their own runs, one byte for each, and
// report the last one.
const stormScript = `printf x >>/var/runs/$1
read -r runs </var/runs/$1
if [ ${#runs} -ge $2 ] || [ -e /var/over ]; then
	echo $1 >/run/ended
	exit 0
fi
exit 9
`

// stormUnit returns a unit that crashes until it has run so many times.
func stormUnit(name string, runs int, pause string) string {
	return fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh /opt/storm %s %d\nRestart=on-failure\n"+
		"RestartSec=%s\nStandardOutput=null\nStandardError=null\n", name, runs, pause)
}

const loopUnit = "loop.service"

// swarmUnits returns the names of the units of the swarm.
func swarmUnits() (units []string) {
	for i := range swarm {
		units = append(units, fmt.Sprintf("swarm@%d.service", i))
	}
	return units
}

var startSwarm = "systemctl start --no-block " + strings.Join(swarmUnits(), " ")

// A storm is a machine with units that can make a storm, and with a daemon that watches them.
type storm struct {
	*bed
	connection string // the daemon's unique name on the bus
	ends       *bufio.Scanner
}

// bootStorm boots a machine for a storm. The lines in dropIn change the daemon's unit. The daemon is not
// started.
func bootStorm(t *testing.T, runs int, dropIn ...string) *storm {
	t.Helper()
	units := map[string]string{loopUnit: stormUnit(loopUnit, 1<<20, "0"), "trigger.service": stays}
	// Each has a unit file. Instances without one would be folded when they are over.
	for _, unit := range swarmUnits() {
		units[unit] = stormUnit("swarm@%i.service", runs, "10ms")
	}
	for i := range 5 {
		units[fmt.Sprintf("victim@%d.service", i+1)] = stays + "Restart=always\nRestartSec=0\n"
	}
	b := bootBed(t, units, []string{"swarm@*.service", loopUnit, "victim@*.service", "trigger.service"}, dropIn...)
	if err := b.WriteFile("/opt/storm", stormScript, 0o755); err != nil {
		t.Fatal(err)
	}
	b.sh("mkdir /var/runs; mkfifo /run/ended")
	// cat also holds the pipe open for writing, so it never reads an end of file.
	return &storm{bed: b, ends: b.follow("sh", "-c", "exec cat 0<>/run/ended")}
}

// start starts the daemon.
func (s *storm) start() {
	s.t.Helper()
	s.sh("systemctl start service-monitor")
	s.connection = s.sh("busctl list --unique --no-legend | while read -r name pid rest; do [ $pid = " + s.show("MainPID") + " ] && echo $name || :; done")
}

// follow starts a command that ends with the test, and returns its output.
func (b *bed) follow(argv ...string) *bufio.Scanner {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), stormLimit)
	cmd := b.Command(ctx, argv...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return bufio.NewScanner(out)
}

// awaitEnds waits until n more units have run for the last time.
func (s *storm) awaitEnds(n int) {
	s.t.Helper()
	for i := range n {
		if !s.ends.Scan() {
			s.t.Fatalf("%d of %d units came to their end", i, n)
		}
	}
}

// wantCalm wants the daemon to have stayed within its limits during the storm, and stops it.
func (s *storm) wantCalm() {
	s.t.Helper()
	memory, queue := s.status("", "VmHWM")[0], s.peakQueue()
	s.t.Logf("%d kB resident and %d bytes in the bus's queue at most", memory, queue)
	if memory > peakMemory {
		s.t.Errorf("%d kB were resident, want at most %d", memory, peakMemory)
	}
	if queue > peakQueue {
		s.t.Errorf("the bus had to keep %d bytes, want at most %d", queue, peakQueue)
	}
	s.wantShow("ActiveState", "active")
	s.wantShow("NRestarts", "0") // the watchdog did not fire
	s.sh("systemctl stop service-monitor")
	if s.t.Failed() {
		s.t.Logf("what the daemon said of itself:\n%s", s.sh("cat "+logDir+"/*.log | grep -v '\\.service: '"))
	}
}

// peakQueue returns the largest number of bytes that the bus had to queue for the daemon because its
// socket was full.
func (s *storm) peakQueue() int {
	s.t.Helper()
	out := s.sh("busctl --json=short call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.Debug.Stats GetConnectionStats s " + s.connection)
	var reply struct {
		Data []map[string]struct{ Data any }
	}
	if err := json.Unmarshal([]byte(out), &reply); err != nil || len(reply.Data) != 1 {
		s.t.Fatalf("%v in %s", err, out)
	}
	peak, ok := reply.Data[0]["PeakOutgoingBytes"].Data.(float64)
	if !ok {
		s.t.Fatalf("no PeakOutgoingBytes in %s", out)
	}
	return int(peak)
}

// wantRuns wants the state file to have the runs that the units have counted themselves. All runs of a
// unit except the last crashed.
func (s *storm) wantRuns(units ...string) {
	s.t.Helper()
	runs, state := s.runs(), readState(s.t, s.Machine)
	total := 0
	for _, unit := range units {
		got, n := state[unit], runs[unit]
		total += n
		if n == 0 || got.Starts != n || got.Crashes != n-1 || got.Stops != 1 || got.Restarts != n-1 || got.FirstSeenRunning != 0 {
			s.t.Errorf("%s ran %d times; counted %+v", unit, n, got)
		}
		if last := got.LastCrash; last.Result != "exit-code" || last.Code != 1 || last.Status != 9 {
			s.t.Errorf("%s: the last crash is %+v, want exit code 9", unit, last)
		}
	}
	s.t.Logf("%d runs of %d units", total, len(units))
}

// runs returns how often each unit has run.
func (s *storm) runs() map[string]int {
	s.t.Helper()
	runs := map[string]int{}
	for line := range strings.Lines(s.sh("cd /var/runs; stat -c '%n %s' *")) {
		var unit string
		var n int
		if _, err := fmt.Sscan(line, &unit, &n); err != nil {
			s.t.Fatalf("%v in %q", err, line)
		}
		runs[unit] = n
	}
	return runs
}

// TestStorm makes more events than a gateway ever will. In each case the daemon
// must read on, stay small, and count exactly.
func TestStorm(t *testing.T) {
	t.Run("200 units restarted 20 times", func(t *testing.T) {
		s := bootStorm(t, swarmRuns)
		s.start()
		s.sh(startSwarm)
		s.awaitEnds(swarm)
		s.wantCalm()
		s.wantRuns(swarmUnits()...)
		s.wantTruth(swarmUnits()...)
	})

	t.Run("RestartSec=0", func(t *testing.T) {
		s := bootStorm(t, swarmRuns)
		s.start()
		s.sh("systemctl start loop")
		length := loopFor
		if testing.Short() {
			length /= 10
		}
		<-time.After(length) // the storm
		s.sh("touch /var/over")
		s.awaitEnds(1)
		s.wantCalm()
		s.wantRuns(loopUnit)
		s.wantTruth(loopUnit)
	})

	t.Run("50 SIGKILLs", func(t *testing.T) {
		s := bootStorm(t, swarmRuns)
		s.start()
		victims := strings.Fields("victim@1.service victim@2.service victim@3.service victim@4.service victim@5.service")
		all, kills := strings.Join(victims, " "), 10
		s.sh("systemctl start " + all)
		for i := range kills {
			s.sh("systemctl kill -s KILL " + all)
			for _, unit := range victims {
				s.awaitLife(unit, func(life gateway.Tally) bool { return life.Starts == i+2 })
			}
		}
		s.sh("systemctl stop " + all)
		s.wantCalm()
		s.wantTruth(victims...)
		for unit, got := range readState(t, s.Machine) {
			if strings.HasPrefix(unit, "victim") && !strings.Contains(unit, "*") && (got.Crashes != kills || got.LastCrash.Result != "signal" || got.LastCrash.Status != 9) {
				t.Errorf("%s: counted %+v, want %d kills", unit, got, kills)
			}
		}
	})

	// PID 1 also waits for journald: 10 ms for each message, before the message is lost. That would
	// slow the storm down, so PID 1 is told to write nothing. LogLevelMax= of the units would not
	// be enough, because PID 1 of 247 does not apply it to its own messages.
	t.Run("the disk and journald stall", func(t *testing.T) {
		s := bootStorm(t, swarmRuns,
			// With -D the daemon, and not strace, is the main process. With --seccomp-bpf only
			// fsync(2) is slowed down.
			"ExecStart=", "ExecStart=/usr/bin/strace -D -f --seccomp-bpf -T -e signal=none -e trace=fsync "+
				"-e inject=fsync:delay_enter=5000000 -o "+fsyncs+" /opt/service-monitor",
			"[Unit]", "JobRunningTimeoutSec=infinity") // the daemon is ready only when it has saved
		s.put(dropIns+"strace.conf", "# strace(1) traces, and first becomes who it is.\n[Service]\nSystemCallFilter=@debug @setuid\n")
		s.sh("systemctl daemon-reload")
		s.start()
		s.sh("systemctl log-level emerg; systemctl kill -s STOP systemd-journald; systemctl start loop; " + startSwarm)
		s.awaitEnds(swarm)
		s.sh("touch /var/over")
		s.awaitEnds(1)
		s.wantStalled()
		s.awaitSaved(append(swarmUnits(), loopUnit)...)
		s.sh("systemctl kill -s CONT systemd-journald")
		s.wantCalm()
		s.wantRuns(append(swarmUnits(), loopUnit)...)
	})
}
