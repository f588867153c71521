package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// DrainLimit is how long a stop may take before the graph is aborted. It is well below the
// unit's TimeoutStopSec=, so that systemd never has to kill the monitor.
const DrainLimit = 10 * time.Second

// abortGrace is how long stages have to return after their context was cancelled. Then Run
// abandons them.
const abortGrace = time.Second

// A Stage is one actor. Run returns nil when its input is closed and it has sent all that it
// still had to send. It also returns when ctx is done. The first stage of a graph has no
// input. It returns nil when ctx is done.
type Stage[In, Out any] interface {
	Run(ctx context.Context, p *Port[In, Out]) error
}

// None is the input of a first stage and the output of a last one.
type None struct{}

// A Graph is a set of stages and the streams between them.
type Graph struct {
	stages []*member
	health health
}

// member is a stage as the graph sees it.
type member struct {
	name string
	// run runs the stage, and closes its output when the stage has returned.
	run    func(ctx context.Context) error
	source bool
	probes chan Probe
	rest   func() // is called when the stage answers from its own select, and so is not sending
	done   chan struct{}
	over   bool // all of its input has come; set before its result is sent
	// status and trouble are what it has answered last; only health uses them
	status, trouble string
	stalls          atomic.Uint64 // how often it did not answer in time
}

// New returns an empty graph that reports its health to n.
func New(n Notifier) *Graph {
	return &Graph{health: newHealth(n)}
}

// Source adds the first stage of a graph. A stop begins with it.
func Source[Out any](g *Graph, name string, s Stage[None, Out]) *Stream[Out] {
	return add(g, name, nil, s)
}

// Add adds a stage that receives from in, and returns the stream that the stage sends.
func Add[In, Out any](g *Graph, name string, in *Stream[In], s Stage[In, Out]) *Stream[Out] {
	return add(g, name, in, s)
}

// Sink adds a stage that receives from in and sends nothing.
func Sink[In any](g *Graph, name string, in *Stream[In], s Stage[In, None]) {
	add(g, name, in, s)
}

func add[In, Out any](g *Graph, name string, in *Stream[In], s Stage[In, Out]) *Stream[Out] {
	out := &Stream[Out]{}
	var c <-chan []In
	if in != nil {
		c = in.edge()
	}
	m := &member{name: name, source: in == nil, probes: make(chan Probe), rest: out.rest, done: make(chan struct{})}
	m.run = func(ctx context.Context) error {
		defer close(m.done)
		defer out.close()
		for {
			err := s.Run(ctx, &Port[In, Out]{In: c, Probes: m.probes, out: out, health: &g.health})
			if in == nil || ctx.Err() != nil {
				return err
			}
			m.over = !open(c)
			if err != nil {
				return err
			}
			if !m.over {
				return errors.New("returned before its input ended")
			}
			var again bool
			if c, again = in.again(); !again {
				return nil
			}
		}
	}
	g.stages = append(g.stages, m)
	return out
}

// open reports whether a channel may still deliver.
func open[T any](in <-chan T) bool {
	select {
	case _, ok := <-in:
		return ok
	default:
		return true
	}
}

// Run runs the graph until stop is done and all stages have drained, or until a stage fails.
// The error names the stage.
func (g *Graph) Run(stop context.Context) error {
	abort, cancel := context.WithCancel(context.WithoutCancel(stop))
	defer cancel()
	source, end := context.WithCancel(abort)
	defer end()
	defer context.AfterFunc(stop, end)()

	results := g.start(abort, source)
	healthy, endHealth := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() { defer close(watched); g.health.watch(healthy, stop, g.stages) }()
	defer func() { endHealth(); <-watched }()

	var (
		failure error
		cut     <-chan time.Time // DrainLimit, then abortGrace
		aborted bool
		stopped = stop.Done()
	)
	fail := func(err error) {
		if failure != nil {
			err = fmt.Errorf("%w; %w", failure, err)
		}
		failure = err
	}
	abortWith := func(err error) {
		if fail(err); !aborted {
			aborted = true
			cancel()
			cut = time.After(abortGrace)
		}
	}
	for left := len(g.stages); left > 0; {
		select {
		case r := <-results:
			left--
			switch err := failureOf(r.err); {
			case err == nil:
			case stopped == nil && r.m.over: // it could not write its last. The others may have time for theirs
				fail(fmt.Errorf("%s: %w", r.m.name, err))
			default:
				abortWith(fmt.Errorf("%s: %w", r.m.name, err))
			}
		case <-stopped:
			stopped = nil
			if !aborted {
				cut = time.After(DrainLimit)
			}
		case <-cut:
			if aborted {
				go receive(results, left)
				return errors.Join(failure, fmt.Errorf("abandoned: %s", g.running()))
			}
			abortWith(fmt.Errorf("stop cut after %v, not drained: %s", DrainLimit, g.running()))
		}
	}
	return failure
}

// Stalls returns how often each stage did not answer a probe in time. A stage that does not answer for
// several rounds has stalled once. Any goroutine may call it when all stages are added.
func (g *Graph) Stalls() map[string]uint64 {
	stalls := make(map[string]uint64, len(g.stages))
	for _, m := range g.stages {
		stalls[m.name] = m.stalls.Load()
	}
	return stalls
}

// receive receives the results of stages that are late, so that they can end.
func receive(results <-chan result, left int) {
	for range left {
		<-results
	}
}

// failureOf returns what is left of an error without the errors of a context that was cancelled.
func failureOf(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	var left error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			left = errors.Join(left, failureOf(e))
		}
	}
	return left
}

// A result says how a stage has ended.
type result struct {
	m   *member
	err error
}

// start starts all stages. The first stage also ends when source is done.
func (g *Graph) start(abort, source context.Context) <-chan result {
	results := make(chan result)
	for _, m := range g.stages {
		ctx := abort
		if m.source {
			ctx = source
		}
		go func() { results <- result{m, m.run(ctx)} }()
	}
	return results
}

// running names the stages that have not returned.
func (g *Graph) running() string {
	var names []string
	for _, m := range g.stages {
		select {
		case <-m.done:
		default:
			names = append(names, m.name)
		}
	}
	return strings.Join(names, ", ")
}
