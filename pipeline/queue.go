package pipeline

import "time"

// A Queue is an outlet for items that wait until they are written. Their number is bounded.
// Items that come when the queue is full are dropped and counted. An item in their place says
// how many are missing.
type Queue[T any] struct {
	Outlet
	// Limit is how many items may wait, besides those that are being written.
	Limit int
	// Out writes items. It returns how many were written: all, or fewer and an error.
	Out func(items []T) (int, error)
	// Missing returns the items that say how many additions are missing in their place.
	Missing func(lost int) []T

	waiting []T
	given   []T // the items of the write under way
	lost    int // how many additions were dropped after those that wait
}

// Add adds items that belong together. It reports whether there was room for them.
func (q *Queue[T]) Add(items ...T) bool {
	if q.lost > 0 || len(q.waiting)+len(items) > q.Limit {
		q.lost++
		return false
	}
	q.waiting = append(q.waiting, items...)
	return true
}

// Any reports whether any items wait, or are to be reported as missing.
func (q *Queue[T]) Any() bool { return len(q.waiting) > 0 || q.lost > 0 }

// Drained reports whether all items are written.
func (q *Queue[T]) Drained() bool { return !q.Busy() && !q.Any() }

// Crowded reports whether the stage should wait before it adds more: the queue is half full,
// and the write under way may end soon. If the disk is only busy, no item of a burst is lost
// that way. If the disk has stalled, the stage waits no longer than Patience.
func (q *Queue[T]) Crowded() bool {
	return q.Busy() && len(q.waiting) > q.Limit/2 && time.Since(q.began) < q.Patience
}

// Begin begins to write the items that wait, if the outlet is ready. It reports whether it
// did.
func (q *Queue[T]) Begin() bool {
	if !q.Any() || !q.Ready() {
		return false
	}
	// While writes fail, nothing makes room. So what was lost since is told once, when all before it is written.
	if q.lost > 0 && (len(q.waiting) == 0 || q.Failing().IsZero()) {
		q.waiting, q.lost = append(q.waiting, q.Missing(q.lost)...), 0
	}
	q.given, q.waiting = q.waiting, q.given[:0]
	given := q.given
	q.Write(func() (int, error) { return q.Out(given) })
	return true
}

// Written returns the items that a write has written. It must be called before Ended.
func (q *Queue[T]) Written(w Written) []T { return q.given[:w.N] }

// Ended handles the outcome of a write. Items that were not written wait again, before those
// that came meanwhile.
func (q *Queue[T]) Ended(w Written) error {
	left := q.given[w.N:]
	clear(q.given[:w.N]) // so that memory of written items can be freed
	q.given = q.given[:0]
	if len(left) > 0 {
		q.given, q.waiting = q.waiting[:0], append(left, q.waiting...)
	}
	return q.Outlet.Ended(w)
}

// Finish writes what is left, and returns when that is done.
func (q *Queue[T]) Finish() error { return q.Outlet.Finish(q.Begin, q.Ended) }
