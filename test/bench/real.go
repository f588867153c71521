package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"service-monitor/test/bench/proc"
	"service-monitor/test/gateway"
)

// Cases of load 3.
const (
	caseSwarm = "units that crash together"
	caseLoop  = "a crash loop with RestartSec=0"
	caseKills = "SIGKILLs, one after the other"
)

// crashScript is the program of units that crash. They crash until they have run so many times, or
// until the file over exists. They count their runs, one byte for each.
const crashScript = `printf x >>/var/runs/$1
read -r runs </var/runs/$1
if [ ${#runs} -ge $2 ] || [ -e /var/over ]; then
	echo $1 >>/var/ended
	exit 0
fi
exit 9
`

// Units of load 3.
const (
	crashUnit = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh /opt/crash %%n %d\nRestart=on-failure\nRestartSec=%s\nStandardOutput=null\nStandardError=null\n"
	staysUnit = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
	killsUnit = staysUnit + "Restart=always\nRestartSec=0\n"
	lastUnit  = "last.service" // starts when all is over
)

// A realCase is one case of load 3.
type realCase struct {
	name  string
	units []string
	play  func(context.Context, *site) error
}

func (b *bench) realCases() []realCase {
	var swarm []string
	for i := range b.plan.swarm {
		swarm = append(swarm, fmt.Sprintf("swarm@%d.service", i))
	}
	return []realCase{
		{caseSwarm, swarm, func(ctx context.Context, s *site) error { return s.swarm(ctx, swarm) }},
		{caseLoop, []string{"loop.service"}, func(ctx context.Context, s *site) error { return s.loop(ctx, b.plan.loop) }},
		{caseKills, []string{"victim.service"}, func(ctx context.Context, s *site) error { return s.kills(ctx, b.plan.kills) }},
	}
}

// real runs load 3.
func (b *bench) real(ctx context.Context) error {
	for _, c := range b.realCases() {
		for round := range b.plan.reals.all {
			for _, who := range b.turns(loadReal, round, b.plan.reals) {
				if err := who.tolerate(b.play(ctx, c, who, false)); err != nil {
					return err
				}
				if round > 0 || !who.counts {
					continue // a contestant without counts has nothing to save
				}
				if err := b.play(ctx, c, who, true); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// play plays a case for one contestant, in a machine of its own. So the journal has only this case,
// and the bus and journald have done nothing before. A boot takes half a second, and a play twenty.
// With countSyncs, play reports only the number of syncs.
func (b *bench) play(ctx context.Context, c realCase, who contestant, countSyncs bool) error {
	s, err := bootSite(ctx, b.binds, map[string]string{
		"swarm@.service": fmt.Sprintf(crashUnit, b.plan.swarmRuns, "10ms"), "loop.service": fmt.Sprintf(crashUnit, 1<<30, "0"),
		"victim.service": killsUnit, lastUnit: staysUnit,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.prepareCrashes(); err != nil {
		return err
	}
	r, err := s.launch(who, append(c.units[:len(c.units):len(c.units)], lastUnit), launchOptions{countSyncs: countSyncs})
	if err != nil {
		return err
	}
	defer r.Stop()
	report := b.reporter(loadReal, c.name, who)
	if countSyncs {
		return s.reportSyncs(ctx, c, r, report)
	}
	return s.reportReal(ctx, c, r, report)
}

// prepareCrashes writes the files that crashing units need.
func (s *site) prepareCrashes() error {
	if err := s.WriteFile("/opt/crash", crashScript, 0o755); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(s.root, "var/runs"), 0o755)
}

func (s *site) reportSyncs(ctx context.Context, c realCase, r *run, report func(string, float64)) error {
	before := r.syncs()
	if err := c.play(ctx, s); err != nil {
		return err
	}
	if _, err := s.over(ctx, r); err != nil {
		return err
	}
	synced := r.syncs() - before
	truth, err := s.Truth(ctx)
	if err != nil {
		return err
	}
	report(fsyncsPerCrash, float64(synced)/float64(max(1, crashes(truth, c.units))))
	return nil
}

func (s *site) reportReal(ctx context.Context, c realCase, r *run, report func(string, float64)) error {
	bus, journald := proc.Named(s.Leader(), "dbus-daemon"), proc.Named(s.Leader(), "systemd-journal")
	busBefore, journalBefore := proc.CPU(bus), proc.CPU(journald)
	_, diskBefore := proc.Written(r.Pid)
	_, journalDiskBefore := proc.Written(journald)
	begun, peak := time.Now(), r.peak()
	if err := c.play(ctx, s); err != nil {
		return err
	}
	over, err := s.over(ctx, r)
	if err != nil {
		return err
	}
	span := time.Since(begun)
	_, disk := proc.Written(r.Pid)
	_, journalDisk := proc.Written(journald)
	memory, anonymousPeak := proc.MemoryOf(r.Pid), peak()
	busCost, journalCost, busMemory := proc.CPU(bus)-busBefore, proc.CPU(journald)-journalBefore, proc.MemoryOf(bus)
	spent := r.end()
	truth, err := s.Truth(ctx)
	if err != nil {
		return err
	}
	n := float64(max(1, crashes(truth, c.units)))
	report(cpuPerCrash, milliseconds(spent.all())/n)
	report(childCPU, milliseconds(spent.children)/n)
	report(busCPU, milliseconds(busCost)/n)
	report(journalCPU, milliseconds(journalCost)/n)
	report(crashRate, n/span.Seconds())
	report(drained, milliseconds(over))
	report(lost, float64(r.wrong(truth, c.units)))
	report(peakRSS, memory.Peak/1e6)
	report(peakAnonymous, anonymousPeak/1e6)
	report(busPeak, busMemory.Peak/1e6)
	report(diskPerCrash, float64(disk-diskBefore)/1e3/n)
	report(journalDiskPerCrash, float64(journalDisk-journalDiskBefore)/1e3/n)
	return nil
}

// over starts a unit when all is over. It returns how long after that start its line came.
func (s *site) over(ctx context.Context, r *run) (time.Duration, error) {
	if _, err := s.Run(ctx, "systemctl", "start", "--no-block", lastUnit); err != nil {
		return 0, err
	}
	if err := r.awaitStart(ctx, lastUnit); err != nil {
		return 0, err
	}
	told := monotonic()
	out, err := s.Run(ctx, "systemctl", "show", "-P", "StateChangeTimestampMonotonic", lastUnit)
	if err != nil {
		return 0, err
	}
	entered, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	return told - time.Duration(entered)*time.Microsecond, err
}

// swarm lets units crash until each has run as many times as it should.
func (s *site) swarm(ctx context.Context, units []string) error {
	if _, err := s.Run(ctx, append([]string{"systemctl", "start", "--no-block"}, units...)...); err != nil {
		return err
	}
	return s.awaitLines(ctx, "var/ended", len(units))
}

// loop lets one unit crash for a while.
func (s *site) loop(ctx context.Context, span time.Duration) error {
	if _, err := s.Run(ctx, "systemctl", "start", "--no-block", "loop.service"); err != nil {
		return err
	}
	if err := sleep(ctx, span); err != nil {
		return err
	}
	if err := s.WriteFile("/var/over", "", 0o644); err != nil {
		return err
	}
	return s.awaitLines(ctx, "var/ended", 1)
}

// kills kills a unit n times, each time as soon as it runs again. It kills only the main process,
// because systemd may fail to read the rest of the control group, where the last run has just ended.
func (s *site) kills(ctx context.Context, n int) error {
	if _, err := s.Run(ctx, "systemctl", "start", "victim.service"); err != nil {
		return err
	}
	for range n {
		before, err := s.mainPID(ctx)
		if err != nil {
			return err
		}
		if _, err := s.Run(ctx, "systemctl", "kill", "--kill-who=main", "-s", "KILL", "victim.service"); err != nil {
			return err
		}
		for after := before; after == before || after == "0"; {
			if after, err = s.mainPID(ctx); err != nil {
				return err
			}
		}
	}
	_, err := s.Run(ctx, "systemctl", "stop", "victim.service")
	return err
}

func (s *site) mainPID(ctx context.Context) (string, error) {
	out, err := s.Run(ctx, "systemctl", "show", "-P", "MainPID", "victim.service")
	return strings.TrimSpace(out), err
}

// awaitLines waits until a file has so many lines. It reads the file now and then, because that costs
// the contestants less than notifications would.
func (s *site) awaitLines(ctx context.Context, file string, n int) error {
	for {
		text, _ := os.ReadFile(filepath.Join(s.root, file)) // it may not be there yet
		if strings.Count(string(text), "\n") >= n {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func crashes(truth map[string]gateway.Tally, units []string) (n int) {
	for _, unit := range units {
		n += truth[unit].Crashes
	}
	return n
}

// wrong adds up by how much a contestant differs from the journal of PID 1. It compares the counts of
// the daemon, and the lines about failures of other contestants.
func (r *run) wrong(truth map[string]gateway.Tally, units []string) (off int) {
	if !r.of.counts {
		return abs(crashes(truth, units) - strings.Count(r.log(), "-> failed "))
	}
	state, err := r.counts()
	if err != nil {
		return len(units)
	}
	for _, unit := range units {
		want := truth[unit]
		off += state[unit].differ(counts{want.Starts, want.Stops, want.Crashes, want.Scheduled})
	}
	return off
}

// counts are the counts of one unit, or the sums of several.
type counts struct{ Starts, Stops, Crashes, Restarts int }

// counts reads the counts that the daemon has saved, by unit.
func (r *run) counts() (state map[string]counts, err error) {
	text, err := os.ReadFile(r.file(stateName))
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	return state, err
}

// add adds other counts.
func (c *counts) add(more counts) {
	c.Starts, c.Stops, c.Crashes, c.Restarts = c.Starts+more.Starts, c.Stops+more.Stops, c.Crashes+more.Crashes, c.Restarts+more.Restarts
}

// differ adds up by how much these counts differ from others.
func (c counts) differ(from counts) int {
	return abs(c.Starts-from.Starts) + abs(c.Stops-from.Stops) + abs(c.Crashes-from.Crashes) + abs(c.Restarts-from.Restarts)
}
