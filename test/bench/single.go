package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// The cases of one crash: a service that stays down, and one that systemd restarts after its default
// time.
const (
	caseOnce   = "SIGKILL, Restart=no"
	caseAlways = "SIGKILL, Restart=always, RestartSec=100ms"
)

const alwaysUnit = staysUnit + "Restart=always\nRestartSec=100ms\n"

// watching has the contestants of one case, side by side. Each runs once as it is, and once with its
// writes recorded.
type watching struct {
	name          string
	plain, traced []*run
}

// A writing is what one contestant has written so far.
type writing struct{ fsyncs, appends, files, device int }

// single measures how much is written because of one crash, until all of it is written. A service that
// stays down crashes only once, so there is one for each crash.
func (b *bench) single(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, map[string]string{"once@.service": staysUnit, "always.service": alwaysUnit})
	if err != nil {
		return err
	}
	defer s.Close()
	once := make([]string, b.plan.singles)
	for i := range once {
		once[i] = fmt.Sprintf("once@%d.service", i)
	}
	if _, err := s.Run(ctx, append([]string{"systemctl", "start", "always.service"}, once...)...); err != nil {
		return err
	}
	cases := []*watching{{name: caseOnce}, {name: caseAlways}}
	for i, units := range [][]string{once, {"always.service"}} {
		defer cases[i].stop()
		if err := cases[i].launch(s, b.of(loadSingle), units); err != nil {
			return err
		}
	}
	if err := sleep(ctx, b.plan.settle); err != nil {
		return err
	}
	for _, unit := range once {
		if err := b.crash(ctx, s, cases, unit, "always.service"); err != nil {
			return err
		}
	}
	return nil
}

func (w *watching) launch(s *site, all []contestant, units []string) error {
	for _, c := range all {
		for _, runs := range []*[]*run{&w.plain, &w.traced} {
			r, err := s.launch(c, units, launchOptions{trace: runs == &w.traced, ownDisk: true})
			if err != nil {
				return err
			}
			*runs = append(*runs, r)
		}
	}
	return nil
}

func (w *watching) stop() {
	for _, r := range append(w.plain, w.traced...) {
		r.Stop()
	}
}

func (w *watching) written() (all []writing, err error) {
	for i, r := range w.traced {
		files, device, err := w.plain[i].wrote()
		if err != nil {
			return nil, err
		}
		all = append(all, writing{r.syncs(), r.appends(), files, device})
	}
	return all, nil
}

// settled returns what they have written so far. It includes what the kernel had put off.
func (w *watching) settled() ([]writing, error) {
	for _, r := range w.plain {
		if err := r.sync(); err != nil {
			return nil, err
		}
	}
	return w.written()
}

// crash kills a service for each case, and reports what was written until all had settled. The summary
// of the minute is reported apart, because there is one no matter how much has happened.
func (b *bench) crash(ctx context.Context, s *site, cases []*watching, units ...string) error {
	var before, soon [][]writing
	for _, w := range cases {
		all, err := w.settled()
		if err != nil {
			return err
		}
		before = append(before, all)
	}
	for _, unit := range units {
		if _, err := s.Run(ctx, "systemctl", "kill", "--kill-who=main", "-s", "KILL", unit); err != nil {
			return err
		}
	}
	if err := sleep(ctx, b.plan.soon); err != nil {
		return err
	}
	for _, w := range cases {
		all, err := w.written()
		if err != nil {
			return err
		}
		soon = append(soon, all)
	}
	if err := sleep(ctx, b.plan.settle); err != nil {
		return err
	}
	for i, w := range cases {
		all, err := w.settled()
		if err != nil {
			return err
		}
		for j, after := range all {
			report := b.reporter(loadSingle, w.name, w.plain[j].of)
			report(fsyncs, float64(after.fsyncs-before[i][j].fsyncs))
			report(appended, float64(soon[i][j].appends-before[i][j].appends))
			report(summed, float64(after.appends-soon[i][j].appends))
			if w.plain[j].device != "" {
				report(deviceOnce, float64(after.device-before[i][j].device)/1e3)
			}
			report(filesOnce, float64(after.files-before[i][j].files)/1e3)
		}
	}
	return nil
}

// appends returns how often a traced run has written to its log so far.
func (r *run) appends() int {
	text, _ := os.ReadFile(r.file("syncs"))
	return strings.Count(string(text), r.inside+"/"+logName+">")
}
