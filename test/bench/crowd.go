package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"service-monitor/stages/feed"
	"service-monitor/test/bench/proc"
)

// The machine of a crowd has services that run, and a glob whose instances come and go.
const (
	crowdGlob = "pass@*.service"
	crowdUnit = "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'case %i in *7) exit 3;; esac'\n"
)

// Cases of a crowd.
const (
	caseNobody  = "no past instances"
	caseWatched = "came and went while watched"
	caseMissed  = "came and went in a gap"
	casePast    = "past instances"
)

// pass starts instances, a hundred at a time, and returns when the last is over.
const pass = `seq "$1" "$2" | sed 's/.*/pass@&.service/' | xargs -n 100 systemctl start --quiet 2>/var/refused || true`

// crowds measures what past instances of a glob cost. Half of them came and went while the
// monitor watched, and half while it was down. A second machine has none. The ratios are to that
// machine, in the same round.
func (b *bench) crowds(ctx context.Context) error {
	for _, c := range b.of(loadCrowd) {
		if err := b.crowd(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) crowd(ctx context.Context, c contestant) error {
	nobody, err := b.crowdSite(ctx, c)
	if err != nil {
		return err
	}
	defer nobody.Close()
	past, err := b.crowdSite(ctx, c)
	if err != nil {
		return err
	}
	defer past.Close()
	half := b.plan.crowd / 2
	if err := past.watched(ctx, half, b.reporter(loadCrowd, fmt.Sprintf("%d %s", half, caseWatched), c)); err != nil {
		return err
	}
	if err := past.missed(ctx, half, b.reporter(loadCrowd, fmt.Sprintf("%d %s", half, caseMissed), c)); err != nil {
		return err
	}
	for range b.plan.crowds {
		if err := b.compareCrowds(ctx, nobody, past); err != nil {
			return err
		}
	}
	return nil
}

// A crowdSite is a machine with a monitor that was there before.
type crowdSite struct {
	*site
	run   *run // the last one
	names []string
}

func (b *bench) crowdSite(ctx context.Context, c contestant) (*crowdSite, error) {
	s, err := bootSite(ctx, b.binds, map[string]string{
		"pass@.service": crowdUnit, "idle@.service": "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n",
	})
	if err != nil {
		return nil, err
	}
	cs := &crowdSite{site: s}
	for i := range fixedUnits {
		cs.names = append(cs.names, fmt.Sprintf("idle@%d.service", i))
	}
	if _, err = s.Run(ctx, append([]string{"systemctl", "start"}, cs.names...)...); err == nil {
		cs.names = append(cs.names, crowdGlob)
		if cs.run, err = s.launch(c, cs.names, launchOptions{}); err == nil {
			cs.run.Stop()
			return cs, nil
		}
	}
	return nil, errors.Join(err, s.Close())
}

// again starts the monitor again.
func (s *crowdSite) again() (err error) {
	s.run, err = s.launch(s.run.of, s.names, launchOptions{again: s.run})
	return err
}

// stateSize returns the size of the state file, which is what a save writes.
func (r *run) stateSize() float64 {
	info, err := os.Stat(r.file(stateName))
	if err != nil {
		return 0
	}
	return float64(info.Size())
}

func (s *crowdSite) pass(ctx context.Context, from, to int) error {
	_, err := s.Run(ctx, "sh", "-c", pass, "-", strconv.Itoa(from), strconv.Itoa(to))
	return err
}

// watched lets the first n instances come and go while the monitor watches.
func (s *crowdSite) watched(ctx context.Context, n int, report func(string, float64)) error {
	if err := s.again(); err != nil {
		return err
	}
	before, begun := s.run.cost(), time.Now()
	size := s.run.largest()
	if err := s.pass(ctx, 1, n); err != nil {
		return err
	}
	report(passRate, float64(n)/time.Since(begun).Seconds())
	if err := s.run.awaitPast(ctx, n); err != nil {
		return err
	}
	memory := proc.MemoryOf(s.run.Pid)
	report(cpuPerPass, milliseconds(s.run.cost().minus(before).all())/float64(n))
	s.run.Stop()
	report(peakRSS, memory.Peak/1e6)
	report(rss, memory.Resident/1e6)
	report(largestSave, size()/1e3)
	report(stateKB, s.run.stateSize()/1e3)
	return s.exact(ctx, report)
}

// awaitPast waits until the daemon has counted the starts of n instances. If it fell behind, it still
// reads about the last ones in the journal, and a stop would leave that to its next start.
func (r *run) awaitPast(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	for {
		starts := 0
		err := feed.Listen(ctx, r.file(feedName), func(m feed.Message) bool {
			if u := m.Unit; u != nil && (u.Name == crowdGlob || isPast(u.Name)) {
				starts += int(u.Starts)
			}
			return !m.Complete
		})
		if err != nil || starts >= n {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return fmt.Errorf("of %d instances, %s counted %d: %w", n, r.of.name, starts, err)
		}
	}
}

// missed lets the next n instances come and go while the monitor is down.
func (s *crowdSite) missed(ctx context.Context, n int, report func(string, float64)) error {
	if err := s.pass(ctx, n+1, 2*n); err != nil {
		return err
	}
	if err := s.again(); err != nil {
		return err
	}
	memory := proc.MemoryOf(s.run.Pid)
	s.run.Stop()
	report(readyAgain, milliseconds(s.run.ready))
	report(peakRSS, memory.Peak/1e6)
	report(rss, memory.Resident/1e6)
	report(stateKB, s.run.stateSize()/1e3)
	return s.exact(ctx, report)
}

// compareCrowds starts the monitor on both machines, in turns.
func (b *bench) compareCrowds(ctx context.Context, nobody, past *crowdSite) error {
	var took, spent [2]time.Duration
	var keeps [2]proc.Memory
	for i, s := range []*crowdSite{nobody, past} {
		if err := s.again(); err != nil {
			return err
		}
		memory, err := s.run.rested(ctx, b.plan.still)
		if err != nil {
			return err
		}
		took[i], spent[i], keeps[i] = s.run.ready, s.run.began.all(), memory
		s.run.Stop()
		report := b.reporter(loadAfter, []string{caseNobody, fmt.Sprintf("%d %s", b.plan.crowd, casePast)}[i], s.run.of)
		report(readyAgain, milliseconds(took[i]))
		report(cpuToReady, milliseconds(spent[i]))
		report(peakRSS, memory.Peak/1e6)
		report(rss, memory.Resident/1e6)
		report(stateKB, s.run.stateSize()/1e3)
	}
	report := b.reporter(loadCrowded, fmt.Sprintf("%d %s", b.plan.crowd, casePast), past.run.of)
	report(readyTimes, took[1].Seconds()/took[0].Seconds())
	report(cpuTimes, spent[1].Seconds()/spent[0].Seconds())
	report(peakTimes, keeps[1].Peak/keeps[0].Peak)
	report(stateTimes, past.run.stateSize()/nobody.run.stateSize())
	return nil
}

// largest watches the size of the state file. The function that it returns stops that, and
// returns the largest size.
func (r *run) largest() func() float64 {
	done, most := make(chan struct{}), make(chan float64, 1)
	go func() {
		next := time.NewTicker(peakLook)
		defer next.Stop()
		size := 0.0
		for {
			size = max(size, r.stateSize())
			select {
			case <-next.C:
				continue
			case <-done:
			}
			most <- size
			return
		}
	}()
	return func() float64 {
		close(done)
		return <-most
	}
}

// exact reports by how much the sums of the glob differ from the journal.
func (s *crowdSite) exact(ctx context.Context, report func(string, float64)) error {
	truth, err := s.Truth(ctx)
	if err != nil {
		return err
	}
	state, err := s.run.counts()
	if err != nil {
		return err
	}
	var counted, real counts
	for unit, c := range state {
		if unit == crowdGlob || isPast(unit) {
			counted.add(c)
		}
	}
	for unit, t := range truth {
		if isPast(unit) {
			real.add(counts{t.Starts, t.Stops, t.Crashes, t.Scheduled})
		}
	}
	report(lost, float64(counted.differ(real)))
	return nil
}

// isPast reports whether a unit is one of the instances that come and go.
func isPast(unit string) bool { return strings.HasPrefix(unit, "pass@") && unit != crowdGlob }
