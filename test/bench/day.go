package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"service-monitor/test/bench/proc"
)

// dayPauses are the RestartSec= of the units that crash all day: systemd's default, and the
// time that many set instead.
var dayPauses = []string{"100ms", "5s"}

// A looping unit crashes all day, and all contestants watch it side by side.
type looping struct {
	unit, pause   string
	runs          []*run
	files, device []([]int) // how much each run had written, at each time
}

// day measures how much is written because of a unit that crashes all day. It measures some
// minutes. The first ones count once, because the first saves and lines are delayed less or not at
// all. The other minutes stand for the rest of the day. The black box, of which there is one an
// hour, is in the first ones alone.
//
// It measures what reaches the device, because that wears it: also inodes, directories and the
// journal of the file system. The pages of files are reported apart as well.
func (b *bench) day(ctx context.Context) error {
	units := map[string]string{}
	var loops []*looping
	for _, pause := range dayPauses {
		l := &looping{unit: "loop-" + pause + ".service", pause: pause}
		units[l.unit] = fmt.Sprintf(crashUnit, 1<<30, pause)
		loops = append(loops, l)
	}
	s, err := bootSite(ctx, b.binds, units)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.prepareCrashes(); err != nil {
		return err
	}
	for _, l := range loops {
		for _, c := range b.of(loadDay) {
			r, err := s.launch(c, []string{l.unit}, launchOptions{ownDisk: true})
			if err != nil {
				return err
			}
			defer r.Stop()
			l.runs = append(l.runs, r)
		}
	}
	return b.lastAllDay(ctx, s, loops)
}

// lastAllDay starts the units, and notes several times how much is written.
//
// What nobody syncs the kernel writes up to 35 s later: it commits a journal after 5 s, and
// writes back what has been dirty for 30 s. So the disks are synced before the first minutes.
// Otherwise these would have writes from before. They are not synced later, because that would be
// another write. What is not written yet is about the same after the first minutes and after the
// last, so it cancels out.
func (b *bench) lastAllDay(ctx context.Context, s *site, loops []*looping) error {
	journald := proc.Named(s.Leader(), "systemd-journal")
	var ofJournal []int
	look := func() error {
		for _, l := range loops {
			if err := l.look(); err != nil {
				return err
			}
		}
		_, disk := proc.Written(journald)
		ofJournal = append(ofJournal, disk)
		return nil
	}
	for _, l := range loops {
		for _, r := range l.runs {
			if err := r.sync(); err != nil {
				return err
			}
		}
	}
	if err := look(); err != nil {
		return err
	}
	begun := time.Now()
	for _, l := range loops {
		if _, err := s.Run(ctx, "systemctl", "start", "--no-block", l.unit); err != nil {
			return err
		}
	}
	for _, span := range []time.Duration{b.plan.dayFirst, b.plan.dayRest} {
		if err := sleep(ctx, span); err != nil {
			return err
		}
		if err := look(); err != nil {
			return err
		}
	}
	span := time.Since(begun)
	truth, err := s.Truth(ctx)
	if err != nil {
		return err
	}
	for _, l := range loops {
		share, err := s.share(ctx, "MONITOR_UNIT="+l.unit)
		if err != nil {
			return err
		}
		b.reportDay(l, ofJournal, share, float64(truth[l.unit].Crashes)/span.Minutes())
	}
	return nil
}

// reportDay reports what was written for a loop. share is the loop's share of what journald wrote.
func (b *bench) reportDay(l *looping, ofJournal []int, share, crashes float64) {
	for i, r := range l.runs {
		report := b.reporter(loadDay, fmt.Sprintf("RestartSec=%s, from its first %v and the %v after that", l.pause, b.plan.dayFirst, b.plan.dayRest), r.of)
		if r.device != "" {
			report(diskPerDay, b.perDay(l.device[0][i], l.device[1][i], l.device[2][i]))
		}
		report(filesPerDay, b.perDay(l.files[0][i], l.files[1][i], l.files[2][i]))
		if r.of.counts { // so it writes to the journal
			report(journalPerDay, share*b.perDay(ofJournal[0], ofJournal[1], ofJournal[2]))
			report(crashesPerMinute, crashes)
		}
	}
}

func (l *looping) look() error {
	var files, device []int
	for _, r := range l.runs {
		f, d, err := r.wrote()
		if err != nil {
			return err
		}
		files, device = append(files, f), append(device, d)
	}
	l.files, l.device = append(l.files, files), append(l.device, device)
	return nil
}

// perDay returns MB per day. Its arguments are the bytes before, after the first minutes and
// after the others.
func (b *bench) perDay(before, first, rest int) float64 {
	times := (24*time.Hour - b.plan.dayFirst).Seconds() / b.plan.dayRest.Seconds()
	return (float64(first-before) + float64(rest-first)*times) / 1e6
}

// share returns the part of the journal's text that is in entries that match. Of all that
// journald writes, it writes about that part for these entries. This is not exact: each entry has
// hashes of its own, and shares the text of fields with earlier ones.
func (s *site) share(ctx context.Context, match string) (float64, error) {
	var sizes [2]float64
	for i, match := range []string{match, ""} {
		text, err := s.Run(ctx, "sh", "-c", "journalctl --quiet --all --output=export "+match+" | wc -c")
		if err != nil {
			return 0, err
		}
		if sizes[i], err = strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
			return 0, err
		}
	}
	return sizes[0] / max(1, sizes[1]), nil
}
