package classify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// A moment is what PID 1 announces, or what it writes into the journal.
type moment struct {
	update  decode.Update
	inner   bool // PID 1 answers nothing at this time
	silent  bool // PID 1 does not announce it
	record  func(*records.Run)
	of      records.Invocation // the run that record changes
	clock   uint64             // when it was recorded, in µs
	restart bool               // it records a restart
}

// A diarist is a model that also writes a journal. More happens to it: NRestarts is set to zero
// without a signal, and restarts are scheduled twice.
type diarist struct {
	*model
	moments []moment
}

// said moves what the model has announced into the moments.
func (d *diarist) said() {
	for i, u := range d.out {
		d.moments = append(d.moments, moment{update: u, inner: d.inner[i]})
	}
	d.out = nil
	clear(d.inner)
}

func (d *diarist) write(record func(*records.Run)) {
	d.said()
	d.clock++
	d.moments = append(d.moments, moment{of: d.u.Invocation, record: record, clock: d.clock})
}

// reset runs reset-failed on a unit that has not failed. PID 1 then shows an NRestarts of zero, but
// does not announce it.
func (d *diarist) reset() {
	if d.r.IntN(6) == 0 {
		d.said()
		d.u.NRestarts = 0
		d.moments = append(d.moments, moment{update: d.u, silent: true})
	}
}

// schedule schedules a restart. The restart may be scheduled already.
func (d *diarist) schedule() {
	d.truth.restarts++
	d.u.NRestarts++
	d.u.Job = d.u.NRestarts
	n := d.u.NRestarts
	d.write(func(r *records.Run) { r.Scheduled++; r.NRestarts = n })
	d.moments[len(d.moments)-1].restart = true
	d.announce()
	d.said()
}

// life starts the unit by hand, and goes on until systemd no longer restarts it.
func (d *diarist) life() {
	d.u.NRestarts = 0
	for waits := true; waits; {
		d.begin()
		d.u.Job = 0
		d.write(func(*records.Run) {})
		d.enter("active/running")
		d.reset()
		ended := d.u.Entered
		d.truth.crashes++
		d.u.Result, d.u.MainCode, d.u.MainStatus = "exit-code", exited, 1
		d.write(func(r *records.Run) { r.Result, r.EndClock, r.Ended = "exit-code", ended, r.Begun.Add(1) })
		waits = d.r.IntN(6) > 0
		if !waits {
			d.enter("failed/failed")
			d.said()
			return
		}
		d.enter("activating/auto-restart")
		// Where NRestarts is zeroed between two restarts after one run, nobody can tell
		// which of them were before a snapshot.
		if d.r.IntN(3) == 0 {
			d.schedule()
			d.schedule()
		} else {
			d.reset()
			d.schedule()
		}
		d.reset()
	}
}

// A reader reads the moments as the source reads the journal.
type reader struct {
	d        *diarist
	from     records.Place
	at       int // the next moment to read
	runs     []records.Run
	restarts uint32
}

// read reads up to a moment, and returns the runs that are new or have changed.
func (y *reader) read(to int) []records.Run {
	news := len(y.runs)
	for _, m := range y.d.moments[y.at:to] {
		if m.record == nil {
			continue
		}
		if m.restart {
			y.restarts++
		}
		i := slices.IndexFunc(y.runs, func(r records.Run) bool { return r.Invocation == m.of })
		if i < 0 {
			i, y.runs = len(y.runs), append(y.runs, records.Run{Invocation: m.of, Clock: m.clock})
		}
		m.record(&y.runs[i])
		news = min(news, i)
	}
	y.at = to
	return slices.Clone(y.runs[news:])
}

// snapshot returns the snapshot of a moment, with what the journal has up to a later moment.
func (y *reader) snapshot(at, to int, mark records.Place) decode.Update {
	u := y.d.moments[at].update
	u.Kind, u.Complete, u.Cursor, u.From, u.Restarts = decode.Snapshot, true, mark, y.from, y.restarts
	before := y.restarts
	if w := y.read(to); len(w) > 0 {
		u.Runs = w[:slices.IndexFunc(w, func(r records.Run) bool { return r.Invocation == u.Invocation })+1]
		u.Restarts = y.restarts
		for _, r := range w[len(u.Runs):] {
			u.Restarts -= r.Scheduled
		}
		u.RestartsSinceCursor = u.Restarts - before
	}
	return u
}

// A watcher is the monitor of a diarist.
type watcher struct {
	d     *diarist
	life  Life
	got   tally
	guess bool // a fact is a lower bound, although the journal has everything
	at    int  // the next moment
	marks []int
	older bool // it may have to begin farther back, for another unit

	unbalanced bool // the counts did not balance at some time

	saved watched // what is in the state file
}

// A watched is what a watcher knows and has counted.
type watched struct {
	life Life
	got  tally
}

func (w *watcher) step(u decode.Update) {
	was := w.got
	var facts []Transition
	w.life, facts = step(nil, w.life, u)
	w.got.add(facts)
	for i, f := range facts {
		w.guess = w.guess || f.AtLeast || f.Missed
		if w.d.r.IntN(8) == 0 {
			w.saved = watched{*f.Life, was}
			w.saved.got.add(facts[:i+1])
		}
	}
	running := int64(0)
	if w.life.Running() {
		running = 1
	}
	if got := int64(w.got.starts) + w.life.Pending(); got != int64(w.got.ends())+running {
		w.unbalanced = true
	}
}

// some returns a moment some time after another. The very last moment only repeats what was
// announced.
func (w *watcher) some(after int) int {
	return min(after+w.d.r.IntN(12), len(w.d.moments)-1)
}

// kill kills the monitor. The next one begins with what was saved.
func (w *watcher) kill() {
	if w.saved.life.Known() {
		w.life, w.got = w.saved.life, w.saved.got
	}
}

// from returns the mark where reading the journal begins.
func (w *watcher) from() (mark int) {
	fmt.Sscanf(string(w.life.Cursor), "mark %d", &mark)
	return mark
}

// watch watches until a moment.
func (w *watcher) watch(end int) {
	for ; w.at < end; w.at++ {
		if m := w.d.moments[w.at]; m.record == nil && !m.silent {
			w.step(m.update)
		}
	}
}

// blind has a gap for which the journal cannot be read. The next gap covers it, too.
func (w *watcher) blind() {
	at := w.some(w.at)
	for at < len(w.d.moments) && (w.d.moments[at].record != nil || w.d.moments[at].inner) {
		at++
	}
	u := w.d.moments[at].update
	u.Kind, u.Unread, u.From, u.Clock = decode.Snapshot, true, place(w.from()), u.Entered
	w.step(u)
	w.at = at + 1
}

// gap reads the journal up to a mark. It may begin anew and read up to a later mark. Then it takes
// a snapshot, and it ends when everything that was read is announced.
func (w *watcher) gap() {
	r := w.d.r
	from := w.from()
	if w.older && r.IntN(3) == 0 {
		from = r.IntN(from + 1)
	}
	y := &reader{d: w.d, from: place(from), at: w.marks[from]}
	mark := w.at
	for again := true; again; again = r.IntN(3) == 0 {
		mark = w.some(mark)
		if runs := y.read(mark); len(runs) > 0 {
			w.step(fromPlace(y.from, y.restarts, past(len(runs), runs...)))
		}
	}
	at := w.some(mark)
	for w.d.moments[at].record != nil || w.d.moments[at].inner {
		at++
	}
	end := w.some(at + 1)
	w.marks = append(w.marks, mark)
	w.step(y.snapshot(at, end, place(len(w.marks)-1)))
	w.at = at + 1
	w.watch(end)
}

// place returns the place of a mark.
func place(mark int) records.Place { return records.Place(fmt.Sprint("mark ", mark)) }

// Over random lives, what is counted in gaps and between them is what happened, and nothing is a
// guess.
func TestGaps(t *testing.T) {
	for seed := range pipelinetest.Seeds(4000) {
		d := &diarist{&model{r: rand.New(rand.NewPCG(seed, 2)), version: []int{252, 257}[seed%2], u: at("inactive/dead", 0), inner: map[int]bool{}}, nil}
		d.announce()
		for range 1 + d.r.IntN(5) {
			d.life()
		}
		d.announce()
		d.said()
		w := &watcher{d: d, at: 1, marks: []int{0}, older: seed%4 == 0}
		first := d.moments[0].update
		first.Kind, first.Cursor = decode.Snapshot, place(0)
		w.step(first)
		for w.at < len(d.moments) {
			w.watch(w.some(w.at))
			if d.r.IntN(4) == 0 {
				w.kill()
			}
			if d.r.IntN(2) == 0 {
				w.blind()
			} else {
				w.gap()
			}
		}
		w.gap()
		if w.older { // only reading from the unit's own place shows what NRestarts did not
			w.got.restarts = d.truth.restarts
		}
		if w.got != d.truth || w.guess || w.unbalanced {
			t.Fatalf("seed %d: counted %+v, a guess: %v, unbalanced: %v, want %+v", seed, w.got, w.guess, w.unbalanced, d.truth)
		}
	}
}
