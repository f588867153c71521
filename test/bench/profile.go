package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"service-monitor/test/bench/publish"
)

// profiled is the daemon as the profile load builds it.
const profiled = "service-monitor-profiled"

// profile runs load 2 with a daemon that profiles itself. Its figures are not
// reported, because profiling has a cost of its own.
func (b *bench) profile(ctx context.Context) error {
	daemon, err := filepath.Abs(filepath.Join(b.out, profiled))
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "env", "CGO_ENABLED=0", "go", "build", "-buildvcs=false", "-tags", "profile",
		"-o", daemon, "./cmd/service-monitor").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the daemon: %w: %s", err, out)
	}
	s, err := bootSite(ctx, map[string]string{binaries + "/" + profiled: daemon}, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, n := range b.plan.sizes {
		if err := b.profileStorm(ctx, s, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) profileStorm(ctx context.Context, s *site, n int) error {
	st, err := s.stage(n)
	if err != nil {
		return err
	}
	defer st.close()
	c := contestant{name: monitor, program: monitor, argv: func(dir string) []string {
		return []string{"/usr/bin/env", "MONITOR_PROFILE=" + dir + "/cpu", binaries + "/" + profiled, "--config", dir + "/config.json"}
	}}
	r, err := s.launch(c, st.units, launchOptions{bus: st.address})
	if err != nil {
		return err
	}
	defer r.Stop()
	if _, err := st.systemd.Storm(b.plan.signals); err != nil {
		return err
	}
	if err := st.systemd.Finish(); err != nil {
		return err
	}
	if err := r.awaitStart(ctx, publish.Last); err != nil {
		return err
	}
	if err := syscall.Kill(r.Pid, syscall.SIGUSR2); err != nil {
		return err
	}
	for since := time.Now(); ; {
		_, err := os.Stat(r.file("cpu"))
		switch {
		case err == nil:
			return errors.Join(
				keep(r.file("cpu"), filepath.Join(b.out, fmt.Sprintf("cpu-%d.pprof", n))),
				keep(r.file("cpu.allocs"), filepath.Join(b.out, fmt.Sprintf("allocs-%d.pprof", n))),
			)
		case time.Since(since) > readyLimit:
			return fmt.Errorf("no profile: %w", err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// keep copies a file from a machine to the host.
func keep(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
