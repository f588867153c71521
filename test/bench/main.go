// Command bench says what the daemon costs, beside what a user would run instead
// and beside the floor: a C program that does the least. All run in one go, on
// booted machines of test/gateway, in turns; what is told is the median of all
// rounds, its spread, and the ratio to the floor. See floor/floor.c for what the
// floor does and what it does not.
//
// It needs root, gcc and libsystemd-dev, and runs from the top of the checkout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"service-monitor/test/bench/result"
)

var allLoads = []string{"storm", "idle", "real", "single", "day", "latency", "growth"}

func main() {
	daemon := flag.String("daemon", "build/service-monitor", "the daemon")
	out := flag.String("out", "build/bench", "directory for what is built and found")
	loads := flag.String("loads", strings.Join(allLoads, ","), "what to run; profile, too, writes profiles of the daemon in a storm")
	only := flag.String("contestants", "", "whom to run; empty is all")
	quick := flag.Bool("quick", false, "see that all works; the figures say little")
	rounds := flag.Int("rounds", 0, "rounds, if not the usual number")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{plan: full, out: *out}
	if *quick {
		b.plan = brief
	}
	if *rounds > 0 {
		p := &b.plan
		p.rounds, p.starts, p.idleRounds, p.realRounds, p.pulseRounds, p.growRounds = *rounds, *rounds, *rounds, *rounds, *rounds, *rounds
	}
	if err := b.run(ctx, *daemon, strings.Split(*loads, ","), *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run of all.
type bench struct {
	plan        plan
	out         string
	binds       map[string]string // the contestants, for machines
	contestants []contestant
	results     result.Set
}

// run runs these loads and tells what was found, also where one has failed.
func (b *bench) run(ctx context.Context, daemon string, loads []string, only string) error {
	binds, err := build(daemon, b.out)
	if err != nil {
		return err
	}
	b.binds = binds
	for _, c := range contestants {
		if only == "" || slices.Contains(strings.Split(only, ","), c.name) {
			b.contestants = append(b.contestants, c)
		}
	}
	b.sizes(daemon)
	err = b.loads(ctx, loads)
	if telling := b.tell(ctx, daemon); err == nil {
		err = telling
	}
	return err
}

// loads runs them all, also where one has failed.
func (b *bench) loads(ctx context.Context, names []string) error {
	var errs []error
	all := map[string]func(context.Context) error{
		"storm": b.storms, "idle": b.idles, "real": b.real, "single": b.single, "day": b.day, "latency": b.latency, "growth": b.growth, "profile": b.profile,
	}
	for _, name := range names {
		load, ok := all[name]
		if !ok {
			return fmt.Errorf("there is no load %q: name some of %s", name, strings.Join(allLoads, ", "))
		}
		fmt.Fprintf(os.Stderr, "%s: %s ...\n", time.Now().Format(time.TimeOnly), name)
		if err := load(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// turns are the contestants in the order of a round: each begins one in turn, since
// who follows whom may matter.
func (b *bench) turns(round int) []contestant {
	first := round % len(b.contestants)
	return slices.Concat(b.contestants[first:], b.contestants[:first])
}

// reporter takes figures of a contestant.
func (b *bench) reporter(load, of string, c contestant) func(string, float64) {
	return func(name string, value float64) { b.results.Add(load, of, name, c.name, value) }
}

// tell prints the table and writes the report and the plots.
func (b *bench) tell(ctx context.Context, daemon string) error {
	figures := b.results.Figures()
	verdicts := result.Judge(figures, []string{monitor}, targets)
	if err := result.Table(os.Stdout, figures); err != nil {
		return err
	}
	if err := result.Verdicts(os.Stdout, verdicts); err != nil {
		return err
	}
	report := result.Report{About: about(ctx, daemon), Figures: figures, Targets: verdicts}
	path := filepath.Join(b.out, "bench.json")
	if err := report.Write(path); err != nil {
		return err
	}
	fmt.Printf("\nall of it is in %s\n", path)
	return b.plots()
}
