// Command bench measures what the daemon costs. It compares the daemon with what a user would
// run instead, and with the floor, a C program that does the least. They take turns on booted
// machines of test/gateway. The daemon and the floor are in each round, the others in some. The
// results are the median of all rounds, its spread, and the ratio to the floor. floor/floor.c
// says what the floor does and what it does not, and contestant.go who runs in which load. Loads
// that take minutes but hardly any processor time come last, side by side, each on machines of its
// own.
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
	"sync"
	"syscall"
	"time"

	"service-monitor/test/bench/result"
)

var allLoads = []string{"storm", "readers", "start", "latency", "growth", "real", "crowd", "idle", "single", "day"}

// quiet are loads that take minutes but hardly use the processor, so they run together.
var quiet = []string{"idle", "single", "day"}

func main() {
	daemon := flag.String("daemon", "build/service-monitor", "the daemon")
	out := flag.String("out", "build/bench", "directory for what is built and found")
	loads := flag.String("loads", strings.Join(allLoads, ","), "what to run; profile, too, writes profiles of the daemon in a storm")
	only := flag.String("contestants", "", "which programs to run: monitor, floor, godbus, subscribe-units; empty is all")
	quick := flag.Bool("quick", false, "see that all works; the figures say little")
	rounds := flag.Int("rounds", 0, "rounds, if not the usual number")
	crowd := flag.Int("crowd", 0, "past instances of a glob, if not the usual number")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{plan: full, out: *out}
	if *quick {
		b.plan = brief
	}
	if *rounds > 0 {
		b.plan.limit(*rounds)
	}
	if *crowd > 0 {
		b.plan.crowd = *crowd
	}
	if err := b.run(ctx, *daemon, strings.Split(*loads, ","), *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run of the bench.
type bench struct {
	plan        plan
	out         string
	binds       map[string]string // the contestants, for machines
	contestants []contestant
	results     result.Set
	seconds     map[string]float64 // how long each load took
}

// run runs these loads and prints the results, even if a load has failed.
func (b *bench) run(ctx context.Context, daemon string, loads []string, only string) error {
	binds, err := build(daemon, b.out)
	if err != nil {
		return err
	}
	b.binds, b.seconds = binds, map[string]float64{}
	for _, c := range contestants {
		if only == "" || slices.Contains(strings.Split(only, ","), c.program) {
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

// loads runs all loads, even if one has failed. The quiet ones come last, together.
func (b *bench) loads(ctx context.Context, names []string) error {
	all := map[string]func(*bench, context.Context) error{
		"storm": (*bench).storms, "readers": (*bench).readers, "start": (*bench).starts, "latency": (*bench).latency, "growth": (*bench).growth, "real": (*bench).real, "crowd": (*bench).crowds,
		"idle": (*bench).idles, "single": (*bench).single, "day": (*bench).day, "profile": (*bench).profile,
	}
	var errs []error
	var waiting []string
	var together []func(*bench) error
	for _, name := range names {
		load, ok := all[name]
		if !ok {
			return fmt.Errorf("there is no load %q: name some of %s", name, strings.Join(allLoads, ", "))
		}
		named := func(b *bench) error {
			if err := load(b, ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
		if slices.Contains(quiet, name) {
			waiting, together = append(waiting, name), append(together, named)
			continue
		}
		errs = append(errs, b.timed(ctx, name, func() error { return named(b) }))
	}
	if len(waiting) > 0 {
		errs = append(errs, b.timed(ctx, strings.Join(waiting, ", "), func() error { return b.together(together...) }))
	}
	return errors.Join(errs...)
}

// timed runs a load and notes how long it took. It does nothing if ctx is done.
func (b *bench) timed(ctx context.Context, name string, load func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	begun := time.Now()
	fmt.Fprintf(os.Stderr, "%s: %s ...\n", begun.Format(time.TimeOnly), name)
	err := load()
	b.seconds[name] = time.Since(begun).Round(time.Second).Seconds()
	return err
}

// together runs parts of the bench at the same time. Each has results of its own, which are
// joined when all are done.
func (b *bench) together(parts ...func(*bench) error) error {
	errs, own := make([]error, len(parts)), make([]bench, len(parts))
	var group sync.WaitGroup
	for i, part := range parts {
		own[i] = *b
		own[i].results = result.Set{}
		group.Go(func() { errs[i] = part(&own[i]) })
	}
	group.Wait()
	for i := range own {
		b.results.Join(&own[i].results)
	}
	return errors.Join(errs...)
}

// judged returns the contestants that have targets.
func (b *bench) judged() (names []string) {
	for _, c := range b.contestants {
		if c.program == monitor {
			names = append(names, c.name)
		}
	}
	return names
}

// of returns the contestants of a load.
func (b *bench) of(load string) (all []contestant) {
	for _, c := range b.contestants {
		if slices.Contains(c.loads, load) {
			all = append(all, c)
		}
	}
	return all
}

// turns returns the contestants in the order of a round. Each round begins with another one,
// because it may matter who follows whom.
func (b *bench) turns(load string, round int, r rounds) []contestant {
	all := slices.DeleteFunc(b.of(load), func(c contestant) bool { return !c.hasRounds() && round >= r.others })
	if len(all) == 0 {
		return nil
	}
	first := round % len(all)
	return slices.Concat(all[first:], all[:first])
}

// reporter returns a function that takes figures of a contestant.
func (b *bench) reporter(load, of string, c contestant) func(string, float64) {
	return func(name string, value float64) { b.results.Add(load, of, name, c.name, value) }
}

// tell prints the table, and writes the report and the plots.
func (b *bench) tell(ctx context.Context, daemon string) error {
	figures := b.results.Figures()
	verdicts := result.Judge(figures, b.judged(), targets)
	if err := result.Table(os.Stdout, figures); err != nil {
		return err
	}
	if err := result.Verdicts(os.Stdout, verdicts); err != nil {
		return err
	}
	report := result.Report{About: about(ctx, daemon), Seconds: b.seconds, Figures: figures, Targets: verdicts}
	path := filepath.Join(b.out, "bench.json")
	if err := report.Write(path); err != nil {
		return err
	}
	took := 0.0
	for _, seconds := range b.seconds {
		took += seconds
	}
	fmt.Printf("\nall of it is in %s; it took %v\n", path, time.Duration(took)*time.Second)
	return b.plots()
}
