package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"service-monitor/test/bench/proc"
)

// tracing returns a command that runs another one under strace(1). It records the calls of
// fsync(2) and the like and, if writes is true, those that write. Other calls are not slowed down.
func tracing(file string, writes bool) []string {
	calls := "trace=fsync,fdatasync,sync_file_range,syncfs,msync"
	if writes {
		calls += ",write,pwrite64,writev"
	}
	return []string{"/usr/bin/strace", "-f", "--seccomp-bpf", "-qqq", "-y", "-s", "0", "-e", calls, "-e", "signal=none", "-o", file}
}

// syncs returns how many calls were recorded so far.
func (r *run) syncs() (n int) {
	text, _ := os.ReadFile(r.file("syncs"))
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "sync") && strings.Contains(line, "(") && !strings.Contains(line, "resumed") && !strings.Contains(line, "write") {
			n++
		}
	}
	return n
}

// idleSite boots a machine with n services that do nothing, all of which run.
func (b *bench) idleSite(ctx context.Context, n int) (*site, []string, error) {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("idle@%d.service", i))
	}
	s, err := bootSite(ctx, b.binds, map[string]string{"idle@.service": "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"})
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.Run(ctx, append([]string{"systemctl", "start"}, names...)...); err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, names, nil
}

// A resting contestant is one whose cost at rest is measured.
type resting struct {
	plain, traced   *run
	wakeups, syncs  int
	calls, diskings int
}

// idles is load 1: services run and nothing happens. The machines rest side by side.
func (b *bench) idles(ctx context.Context) error {
	var all []func(*bench) error
	for _, n := range b.plan.sizes {
		all = append(all, func(b *bench) error { return b.idle(ctx, n) })
	}
	return b.together(all...)
}

// idle lets all contestants rest side by side, for one window after the other. Each runs once
// as it is, and once with its calls of fsync(2) counted. After five minutes the daemon makes its
// audit. With four windows or more, the audit is in the spread.
func (b *bench) idle(ctx context.Context, n int) error {
	s, names, err := b.idleSite(ctx, n)
	if err != nil {
		return err
	}
	defer s.Close()
	var all []*resting
	for _, c := range b.of(loadIdle) {
		plain, err := s.launch(c, names, launchOptions{})
		if err != nil {
			return err
		}
		defer plain.Stop()
		traced, err := s.launch(c, names, launchOptions{countSyncs: true})
		if err != nil {
			return err
		}
		defer traced.Stop()
		all = append(all, &resting{plain: plain, traced: traced})
	}
	if err := sleep(ctx, b.plan.settle); err != nil {
		return err
	}
	for range b.plan.idles {
		for _, r := range all {
			r.begin()
		}
		if err := sleep(ctx, b.plan.idle); err != nil { // the measurement
			return err
		}
		for _, r := range all {
			r.end(b.plan.idle, b.reporter(loadIdle, fmt.Sprintf("%d services", n), r.plain.of))
		}
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
