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
	// At start and at reload, rounds are repeated until one is settled. The first repetition
	// comes after settleRetry, and the wait doubles up to settleRetryMax. A nudge repeats
	// the round at once.
	settleRetry    = time.Millisecond
	settleRetryMax = 10 * time.Millisecond
	// startExtension is how much longer a start may take after each complete round. A start
	// takes long if much was missed. EXTEND_TIMEOUT_USEC= is sent every third of that.
	startExtension = 30 * time.Second
)

// A Notifier notifies the service manager (sd_notify(3)).
type Notifier interface {
	// Notify sends lines of assignments such as "READY=1". It must not block.
	Notify(state string)
	// Stalled is called when a stage has not answered in time.
	Stalled(stage string, waited time.Duration)
	// Watchdog returns WATCHDOG_USEC, or 0 if there is no watchdog.
	Watchdog() time.Duration
	// Reload returns the text that begins a reload: RELOADING=1 and the time.
	Reload() string
}

// A Probe asks a stage whether its loop still runs.
type Probe struct {
	reply chan<- Answer
	rest  func() // called if the stage answers from its own select
}

// An Answer is what a stage says about itself.
type Answer struct {
	// Status and Trouble are the stage's part of STATUS=. Each may be empty. Trouble says what is
	// wrong.
	Status, Trouble string
	// DelaysReady is true if the stage still has to do or send something before READY=1.
	DelaysReady bool

	sending bool // the stage waits to send, so the answer has no status
}

// Answer answers the probe. It never blocks.
func (q Probe) Answer(a Answer) {
	if !a.sending {
		q.rest()
	}
	q.reply <- a // does not block: the channel has room for the one answer
}

type health struct {
	notifier Notifier
	nudges   chan struct{}
	reloads  chan struct{}
	status   string   // the last status that was sent
	troubles []string // the last that were told
	tell     func(troubles []string)
	ready    func()
	keeping  []func() bool // one for each Latest edge: whether it keeps messages
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

// offer puts a token into a channel of capacity one, unless there is one already.
func offer(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// A watcher runs rounds, and reports their outcome to the service manager.
type watcher struct {
	*health
	stages   []*member
	every    <-chan time.Time // begins a round for the watchdog; nil if there is no watchdog
	limit    time.Duration    // how long a round may take
	settle   *time.Timer      // begins the next round while READY=1 is due
	settling time.Duration    // how long settle waits the next time; 0 if READY=1 is not due
	renew    <-chan time.Time // begins a round for a nudge; nil if there was no nudge
	last     time.Time        // when the last round was over
	extended time.Time        // when the start was extended last
	late     *member          // that has not answered in the last round; nil if all have
	stopping bool
	alive    string // what to send after a complete round; empty before READY=1
}

// TellTroubles has tell called after each round that has found other troubles than the last one: what
// is wrong with the stages, in the order of the stages. tell must not block.
func (g *Graph) TellTroubles(tell func(troubles []string)) {
	if g.health.tell = tell; g.health.notifier == nil {
		g.health.notifier = nobody{}
	}
}

// TellReady has tell called each time READY=1 is sent. All that the stages have sent until then has
// arrived. tell must not block.
func (g *Graph) TellReady(tell func()) {
	if g.health.ready = tell; g.health.notifier == nil {
		g.health.notifier = nobody{}
	}
}

// nobody is the service manager of a monitor that has none.
type nobody struct{}

func (nobody) Notify(string)                 {}
func (nobody) Stalled(string, time.Duration) {}
func (nobody) Watchdog() time.Duration       { return 0 }
func (nobody) Reload() string                { return "" }

// watch runs rounds until ctx is done. stop is the context that stops the graph.
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
			w.settling = settleRetry // the stage probably delays READY=1 no more
		case <-w.renew:
			w.renew = nil
			select {
			case <-h.nudges: // this round serves later nudges as well
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

// awaited delivers nudges, unless a round for a nudge is due already. Then further nudges need
// not wake this goroutine.
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

// ask runs one round and reports its outcome.
func (w *watcher) ask(ctx context.Context) {
	asked := time.Now()
	r := w.round(ctx, w.stages, w.limit)
	w.last = time.Now()
	if r.late != nil && r.late != w.late && ctx.Err() == nil {
		r.late.stalls.Add(1)
	}
	w.late = r.late
	switch {
	case ctx.Err() != nil:
		return
	case r.late != nil:
		late := fmt.Sprintf("stage %s does not answer", r.late.name)
		w.say(late, "")
		w.notifier.Stalled(r.late.name, time.Since(asked))
		r.troubles = []string{late}
		if w.settling > 0 { // without a watchdog, nothing else may begin the next round
			w.settle.Reset(settleRetryMax)
		}
	case w.stopping:
		w.say(w.status, w.alive)
	case w.settling > 0 && !r.delaysReady:
		w.settled()
		w.alive = "WATCHDOG=1"
		if w.ready != nil {
			w.ready()
		}
		w.say(r.status, "READY=1")
	default:
		if w.settling > 0 {
			w.settle.Reset(w.settling)
			w.settling = min(2*w.settling, settleRetryMax)
		}
		w.say(r.status, cmp.Or(w.alive, w.extend()))
	}
	if w.troubled(r.troubles); r.sending && w.renew == nil && w.settling == 0 && !w.stopping {
		w.renew = time.After(StatusGap) // its status may be another one by then
	}
}

// troubled tells what is wrong, if that has changed.
func (h *health) troubled(troubles []string) {
	if h.tell != nil && !slices.Equal(troubles, h.troubles) {
		h.troubles = troubles
		h.tell(troubles)
	}
}

// extend returns what to send after a complete round before READY=1: now and then an extension
// of the start timeout, and otherwise nothing.
func (w *watcher) extend() string {
	if w.alive != "" || w.last.Sub(w.extended) < startExtension/3 {
		return ""
	}
	w.extended = w.last
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", startExtension.Microseconds())
}

// say sends assignment, and the status if it has changed.
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
	status      string
	troubles    []string
	delaysReady bool    // a stage delays READY=1, or an edge keeps a message
	sending     bool    // a stage waits to send, so its status is that of the last round
	late        *member // the stage that did not answer
}

// round asks every stage that still runs, from the first to the last.
func (h *health) round(ctx context.Context, stages []*member, limit time.Duration) outcome {
	var r outcome
	var parts []string
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for _, m := range stages {
		// Messages that the stages before have sent have reached this stage, unless an edge
		// still keeps them.
		r.delaysReady = r.delaysReady || slices.ContainsFunc(h.keeping, func(keeps func() bool) bool { return keeps() })
		reply := make(chan Answer, 1)
		select {
		case m.probes <- Probe{reply, m.rest}:
			a := <-reply
			r.delaysReady = r.delaysReady || a.DelaysReady
			if r.sending = r.sending || a.sending; !a.sending {
				m.status, m.trouble = a.Status, a.Trouble
			}
			if m.status != "" {
				parts = append(parts, m.status)
			}
			if m.trouble != "" {
				parts, r.troubles = append(parts, m.trouble), append(r.troubles, m.trouble)
			}
		case <-m.done:
			r.delaysReady = true // it has failed, unless all is stopping; either way there is no READY=1 any more
		case <-timeout.C:
			r.late = m
			return r
		case <-ctx.Done():
			return r
		}
	}
	r.status = strings.Join(parts, "; ")
	return r
}
