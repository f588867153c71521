package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// StatusGap is the shortest time between two rounds that only renew the status.
	StatusGap = time.Second
	// settleRetry and settleRetryMax bound how often a stage that still owes
	// something is asked again at start and at reload. A nudge asks at once.
	settleRetry    = time.Millisecond
	settleRetryMax = 10 * time.Millisecond
	// startExtension is how long a start may still take after each round that was
	// complete: it takes long where much was missed. It is told every third of that.
	startExtension = 30 * time.Second
)

// A Notifier tells the service manager, in the terms of sd_notify(3).
type Notifier interface {
	// Notify sends lines of assignments such as "READY=1". It must not block.
	Notify(state string)
	// Stalled is called when a round was not complete in time.
	Stalled(stage string, waited time.Duration)
	// Watchdog is WATCHDOG_USEC, or 0 when nobody watches.
	Watchdog() time.Duration
	// Reload is the text that begins a reload, RELOADING=1 and its time.
	Reload() string
}

// A Probe is a question to a stage: does your loop turn?
type Probe struct {
	reply chan<- Answer
	rest  func() // what the stage does when it is in its select
}

// An Answer is what a stage says of itself.
type Answer struct {
	// Status is the stage's part of STATUS=, or empty.
	Status string
	// Owing is true while the stage holds something that it has yet to do or
	// send before the pipeline can be called ready.
	Owing bool

	sending bool // the stage waits to send, and cannot say more
}

// Answer answers the probe. It never blocks.
func (q Probe) Answer(a Answer) {
	if !a.sending {
		q.rest()
	}
	q.reply <- a // buffered: one question, one answer
}

type health struct {
	notifier Notifier
	nudges   chan struct{}
	reloads  chan struct{}
	status   string        // the last that was sent
	keeping  []func() bool // whether each edge behind Latest keeps something
}

func newHealth(n Notifier) health {
	return health{notifier: n, nudges: make(chan struct{}, 1), reloads: make(chan struct{}, 1)}
}

func (h *health) nudge() { offer(h.nudges) }

func (h *health) reloading() {
	if h.notifier != nil {
		h.notifier.Notify(h.notifier.Reload())
		offer(h.reloads)
	}
}

// offer leaves a token in a channel of capacity one, where it is not there yet.
func offer(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// A watcher asks rounds, and tells the service manager what came of them.
type watcher struct {
	*health
	stages   []*member
	every    <-chan time.Time // for the watchdog; nil where nobody watches
	limit    time.Duration    // of a round
	settle   *time.Timer      // armed while READY=1 is owed
	settling time.Duration    // how long until then; 0 while it is not owed
	renew    <-chan time.Time // armed while a nudge is owed a round
	last     time.Time        // when the last round was over
	extended time.Time        // when the start was extended last
	stopping bool
	alive    string // what a complete round says; nothing before READY=1
}

// watch asks rounds until ctx is done. stop is the graph's.
func (h *health) watch(ctx, stop context.Context, stages []*member) {
	if h.notifier == nil {
		return
	}
	w := &watcher{health: h, stages: stages, settle: time.NewTimer(0), settling: settleRetry, extended: time.Now(), limit: DrainLimit}
	defer w.settle.Stop()
	if interval := h.notifier.Watchdog() / 3; interval > 0 {
		t := time.NewTicker(interval)
		defer t.Stop()
		w.every, w.limit = t.C, interval
	}
	for stopped := stop.Done(); ; {
		select {
		case <-w.every:
		case <-w.settle.C:
		case <-w.awaited():
			if w.settling == 0 {
				w.renew = time.After(max(0, StatusGap-time.Since(w.last)))
				continue
			}
			w.settling = settleRetry // what was owed is about to be over
		case <-w.renew:
			w.renew = nil
			select {
			case <-h.nudges: // this round is for them as well
			default:
			}
		case <-h.reloads:
			w.settling = settleRetry
		case <-stopped:
			stopped = nil
			w.stop()
			continue
		case <-ctx.Done():
			return
		}
		w.ask(ctx)
	}
}

// awaited delivers a nudge, unless a round is owed already: until then, none wakes this
// goroutine.
func (w *watcher) awaited() <-chan struct{} {
	if w.renew != nil && w.settling == 0 {
		return nil
	}
	return w.nudges
}

func (w *watcher) stop() {
	w.stopping = true
	w.notifier.Notify("STOPPING=1\nSTATUS=saving and stopping")
	w.settled()
}

func (w *watcher) settled() {
	w.settling = 0
	w.settle.Stop()
}

// ask asks one round.
func (w *watcher) ask(ctx context.Context) {
	asked := time.Now()
	r := w.round(ctx, w.stages, w.limit)
	w.last = time.Now()
	switch {
	case ctx.Err() != nil:
	case r.late != "":
		w.say(fmt.Sprintf("stage %s does not answer", r.late), "")
		w.notifier.Stalled(r.late, time.Since(asked))
	case w.stopping:
		w.say(w.status, w.alive)
	case w.settling > 0 && !r.owing:
		w.settled()
		w.alive = "WATCHDOG=1"
		w.say(r.status, "READY=1")
	default:
		if w.settling > 0 {
			w.settle.Reset(w.settling)
			w.settling = min(2*w.settling, settleRetryMax)
		}
		w.say(r.status, cmp.Or(w.alive, w.extend()))
	}
}

// extend is what a round says that was complete before READY=1: now and then, that the
// start may go on.
func (w *watcher) extend() string {
	if w.alive != "" || w.last.Sub(w.extended) < startExtension/3 {
		return ""
	}
	w.extended = w.last
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", startExtension.Microseconds())
}

// say sends the status where it has changed, together with assignment.
func (h *health) say(status, assignment string) {
	if status != h.status {
		h.status = status
		assignment = strings.TrimPrefix(assignment+"\nSTATUS="+status, "\n")
	}
	if assignment != "" {
		h.notifier.Notify(assignment)
	}
}

// outcome is the result of a round.
type outcome struct {
	status string
	owing  bool   // a stage owes something; the ones after it were asked all the same
	late   string // the stage that did not answer
}

// round asks every stage that still runs, from the first to the last.
func (h *health) round(ctx context.Context, stages []*member, limit time.Duration) outcome {
	var r outcome
	var parts []string
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for _, m := range stages {
		// What the stages before have sent, and is not kept now, this one has received.
		r.owing = r.owing || slices.ContainsFunc(h.keeping, func(keeps func() bool) bool { return keeps() })
		reply := make(chan Answer, 1)
		select {
		case m.probes <- Probe{reply, m.rest}:
			a := <-reply
			r.owing = r.owing || a.Owing
			if !a.sending {
				m.status = a.Status
			}
			if m.status != "" {
				parts = append(parts, m.status)
			}
		case <-m.done:
			r.owing = true // it has failed, unless all is stopping: nothing gets ready any more
		case <-timeout.C:
			r.late = m.name
			return r
		case <-ctx.Done():
			return r
		}
	}
	r.status = strings.Join(parts, "; ")
	return r
}
