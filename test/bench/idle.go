package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"service-monitor/test/bench/proc"
)

// tracing runs a command and writes down its fsync(2) and the like and, where that
// is asked for, what it writes. What is not traced goes through unhindered.
func tracing(file string, writes bool) []string {
	calls := "trace=fsync,fdatasync,sync_file_range,syncfs,msync"
	if writes {
		calls += ",write,pwrite64,writev"
	}
	return []string{"/usr/bin/strace", "-f", "--seccomp-bpf", "-qqq", "-y", "-s", "0", "-e", calls, "-e", "signal=none", "-o", file}
}

// syncs is how many were written down so far.
func (r *run) syncs() (n int) {
	text, _ := os.ReadFile(r.file("syncs"))
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "sync") && strings.Contains(line, "(") && !strings.Contains(line, "resumed") && !strings.Contains(line, "write") {
			n++
		}
	}
	return n
}

// idleUnits are n services that do nothing.
func idleUnits(n int) (files map[string]string, names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("idle@%d.service", i))
	}
	return map[string]string{"idle@.service": "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"}, names
}

// idle is load 1: n services, and nothing happens. All contestants idle side by
// side, once as they are and once with their calls of fsync(2) counted.
func (b *bench) idle(ctx context.Context, n int) error {
	files, names := idleUnits(n)
	s, err := bootSite(ctx, b.binds, files)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Run(ctx, append([]string{"systemctl", "start"}, names...)...); err != nil {
		return err
	}
	of := fmt.Sprintf("%d services", n)
	for round := range b.plan.starts {
		for _, c := range b.turns(round) {
			if err := s.startTwice(c, names, b.reporter(loadIdle, of, c)); err != nil {
				return err
			}
		}
	}
	for range b.plan.idleRounds {
		if err := b.rest(ctx, s, of, names); err != nil {
			return err
		}
	}
	return nil
}

// startTwice measures a start with no files, and one with those of the first.
func (s *site) startTwice(c contestant, units []string, report func(string, float64)) error {
	first, err := s.launch(c, units, launchOptions{})
	if err != nil {
		return err
	}
	first.Stop()
	again, err := s.launch(c, units, launchOptions{again: first})
	if err != nil {
		return err
	}
	again.Stop()
	report(ready, milliseconds(first.ready))
	report(readyAgain, milliseconds(again.ready))
	return nil
}

// A resting contestant is one whose cost at rest is measured.
type resting struct {
	plain, traced   *run
	wakeups, syncs  int
	calls, diskings int
}

// rest lets all contestants rest for a while.
func (b *bench) rest(ctx context.Context, s *site, of string, units []string) error {
	var all []*resting
	for _, c := range b.contestants {
		plain, err := s.launch(c, units, launchOptions{})
		if err != nil {
			return err
		}
		defer plain.Stop()
		traced, err := s.launch(c, units, launchOptions{countSyncs: true})
		if err != nil {
			return err
		}
		defer traced.Stop()
		all = append(all, &resting{plain: plain, traced: traced})
	}
	if err := sleep(ctx, b.plan.settle); err != nil { // what is owed after a start is over then
		return err
	}
	for _, r := range all {
		r.begin()
	}
	if err := sleep(ctx, b.plan.idle); err != nil { // the measurement
		return err
	}
	for _, r := range all {
		r.end(b.plan.idle, b.reporter(loadIdle, of, r.plain.of))
	}
	return nil
}

func (r *resting) begin() {
	r.wakeups, r.syncs = proc.Wakeups(r.plain.Pid), r.traced.syncs()
	r.calls, r.diskings = proc.Written(r.plain.Pid)
}

func (r *resting) end(span time.Duration, report func(string, float64)) {
	awake := proc.Wakeups(r.plain.Pid) - r.wakeups
	calls, disk := proc.Written(r.plain.Pid)
	memory := proc.MemoryOf(r.plain.Pid)
	perHour := func(n int) float64 { return float64(n) * time.Hour.Seconds() / span.Seconds() }
	report(rss, memory.Resident/1e6)
	report(anonymous, memory.Anonymous/1e6)
	report(wakeups, float64(awake)/span.Seconds())
	report(writtenPerHour, perHour(calls-r.calls)/1e3)
	report(diskPerHour, perHour(disk-r.diskings)/1e3)
	report(fsyncsPerHour, perHour(r.traced.syncs()-r.syncs))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// idles runs load 1.
func (b *bench) idles(ctx context.Context) error {
	for _, n := range b.plan.sizes {
		if err := b.idle(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
