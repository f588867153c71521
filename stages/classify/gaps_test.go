package classify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// A moment is what PID 1 announces, or what it writes into the journal.
type moment struct {
	update decode.Update
	inner  bool // PID 1 answers nothing then
	silent bool // it is not announced
	tell   func(*records.Run)
	of     records.Invocation // of tell
	clock  uint64             // of that, in µs
	again  bool               // tell tells of a restart
}

// diarist is a model that writes a journal, too, and to which more happens: NRestarts
// is zeroed in silence, and counts a restart twice.
type diarist struct {
	*model
	moments []moment
}

// said moves what the model has announced since into the moments.
func (d *diarist) said() {
	for i, u := range d.out {
		d.moments = append(d.moments, moment{update: u, inner: d.inner[i]})
	}
	d.out = nil
	clear(d.inner)
}

func (d *diarist) write(tell func(*records.Run)) {
	d.said()
	d.clock++
	d.moments = append(d.moments, moment{of: d.u.Invocation, tell: tell, clock: d.clock})
}

// reset is a reset-failed of a unit that has not failed: PID 1 does not say that
// NRestarts is zeroed, but it shows it.
func (d *diarist) reset() {
	if d.r.IntN(6) == 0 {
		d.said()
		d.u.NRestarts = 0
		d.moments = append(d.moments, moment{update: d.u, silent: true})
	}
}

// schedule schedules a restart, or sets one that is due again.
func (d *diarist) schedule() {
	d.truth.restarts++
	d.u.NRestarts++
	n := d.u.NRestarts
	d.write(func(r *records.Run) { r.Scheduled++; r.NRestarts = n })
	d.moments[len(d.moments)-1].again = true
	d.announce()
	d.said()
}

// life runs the unit once, with what its Restart= makes of it.
func (d *diarist) life() {
	d.u.NRestarts = 0
	for waits := true; waits; {
		d.begin()
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
		// whether a snapshot was before them.
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

// reader reads the moments as the source reads the journal.
type reader struct {
	d        *diarist
	from     records.Place
	at       int // up to where it has read
	runs     []records.Run
	restarts uint32
}

// read returns the runs of which there is news up to a moment.
func (y *reader) read(to int) []records.Run {
	news := len(y.runs)
	for _, m := range y.d.moments[y.at:to] {
		if m.tell == nil {
			continue
		}
		if m.again {
			y.restarts++
		}
		i := slices.IndexFunc(y.runs, func(r records.Run) bool { return r.Invocation == m.of })
		if i < 0 {
			i, y.runs = len(y.runs), append(y.runs, records.Run{Invocation: m.of, Clock: m.clock})
		}
		m.tell(&y.runs[i])
		news = min(news, i)
	}
	y.at = to
	return slices.Clone(y.runs[news:])
}

// snapshot is the one of a moment, with what the journal has up to a later one.
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
		u.Since = u.Restarts - before
	}
	return u
}

// watcher is the monitor of a diarist.
type watcher struct {
	d     *diarist
	life  Life
	got   tally
	guess bool // something was told at least, though the journal has it all
	at    int  // the next moment
	marks []int
	older bool // it may have to read for another unit from farther back

	unbalanced bool // at some time
}

func (w *watcher) step(u decode.Update) {
	var facts []Transition
	w.life, facts = step(nil, w.life, u)
	w.got.add(facts)
	for _, f := range facts {
		w.guess = w.guess || f.AtLeast || f.Missed
	}
	running := int64(0)
	if w.life.Running() {
		running = 1
	}
	if got := int64(w.got.starts) + w.life.Pending(); got != int64(w.got.ends())+running {
		w.unbalanced = true
	}
}

// some is a moment, some time after another. The last of all only repeats what was
// announced.
func (w *watcher) some(after int) int {
	return min(after+w.d.r.IntN(12), len(w.d.moments)-1)
}

// watch watches until a moment.
func (w *watcher) watch(end int) {
	for ; w.at < end; w.at++ {
		if m := w.d.moments[w.at]; m.tell == nil && !m.silent {
			w.step(m.update)
		}
	}
}

// blind is a gap for which the journal cannot be read. The next one reads it, too.
func (w *watcher) blind() {
	at := w.some(w.at)
	for at < len(w.d.moments) && (w.d.moments[at].tell != nil || w.d.moments[at].inner) {
		at++
	}
	u := w.d.moments[at].update
	u.Kind, u.Unread, u.From, u.Clock = decode.Snapshot, true, place(len(w.marks)-1), u.Entered
	w.step(u)
	w.at = at + 1
}

// gap reads the journal up to a mark, and again up to a later one if it begins
// anew, and then takes a snapshot. It is over when all that was read is announced.
func (w *watcher) gap() {
	r := w.d.r
	from := len(w.marks) - 1
	if w.older && r.IntN(3) == 0 {
		from = r.IntN(len(w.marks))
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
	for w.d.moments[at].tell != nil || w.d.moments[at].inner {
		at++
	}
	end := w.some(at + 1)
	w.step(y.snapshot(at, end, place(len(w.marks))))
	w.marks, w.at = append(w.marks, mark), at+1
	w.watch(end)
}

// place is that of a mark.
func place(mark int) records.Place { return records.Place(fmt.Sprint("mark ", mark)) }

// Over random lives, what is told in gaps and between them is what happened, and
// nothing of it is a guess.
func TestGaps(t *testing.T) {
	for seed := range uint64(4000) {
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
			if d.r.IntN(2) == 0 {
				w.blind()
			} else {
				w.gap()
			}
		}
		w.gap()
		if w.older { // what NRestarts did not show is found from the unit's own place alone
			w.got.restarts = d.truth.restarts
		}
		if w.got != d.truth || w.guess || w.unbalanced {
			t.Fatalf("seed %d: told %+v, a guess: %v, unbalanced: %v, want %+v", seed, w.got, w.guess, w.unbalanced, d.truth)
		}
	}
}
