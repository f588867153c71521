package main

import (
	"context"
	"os"
	"strings"

	"service-monitor/test/bench/proc"
)

// single measures what one crash writes, of a service that is restarted at once,
// until all is written that is owed of it. All contestants watch the same service.
func (b *bench) single(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, map[string]string{"victim.service": killsUnit})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Run(ctx, "systemctl", "start", "victim.service"); err != nil {
		return err
	}
	for range b.plan.singles {
		if err := b.crashOnce(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) crashOnce(ctx context.Context, s *site) error {
	var plain, traced []*run
	for _, c := range b.contestants {
		for _, runs := range []*[]*run{&plain, &traced} {
			r, err := s.launch(c, []string{"victim.service"}, launchOptions{trace: runs == &traced})
			if err != nil {
				return err
			}
			defer r.Stop()
			*runs = append(*runs, r)
		}
	}
	if err := sleep(ctx, b.plan.settle); err != nil {
		return err
	}
	before := written(plain)
	syncs, appends := make([]int, len(traced)), make([]int, len(traced))
	for i, r := range traced {
		syncs[i], appends[i] = r.syncs(), r.appends()
	}
	if _, err := s.Run(ctx, "systemctl", "kill", "--kill-who=main", "-s", "KILL", "victim.service"); err != nil {
		return err
	}
	if err := sleep(ctx, b.plan.settle); err != nil {
		return err
	}
	for i, disk := range written(plain) {
		report := b.reporter(loadSingle, "SIGKILL and restart", plain[i].of)
		report(fsyncs, float64(traced[i].syncs()-syncs[i]))
		report(appended, float64(traced[i].appends()-appends[i]))
		report(diskOnce, float64(disk-before[i])/1e3)
	}
	return nil
}

// appends is how often a traced run has written to its log so far.
func (r *run) appends() int {
	text, _ := os.ReadFile(r.file("syncs"))
	return strings.Count(string(text), r.inside+"/"+logName+">")
}

// written is what each run has written to disk so far.
func written(all []*run) (bytes []int) {
	for _, r := range all {
		_, disk := proc.Written(r.Pid)
		bytes = append(bytes, disk)
	}
	return bytes
}
