package pipeline

import "time"

// A Queue is an outlet for items that wait until they are written. Their number is
// bounded. What comes when the queue is full is counted instead, and what stands in its
// place says how many.
type Queue[T any] struct {
	Outlet
	// Limit is how many items may wait, beside those that are being written.
	Limit int
	// Out writes items. It returns how many got through, all unless there is an error.
	Out func(items []T) (int, error)
	// Missing makes the item, or the items, that stand where so many additions are missing.
	Missing func(lost int) []T

	waiting []T
	given   []T // to the write under way
	lost    int // additions that are missing behind those that wait
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

// Any reports whether something waits.
func (q *Queue[T]) Any() bool { return len(q.waiting) > 0 || q.lost > 0 }

// Drained reports whether all is written.
func (q *Queue[T]) Drained() bool { return !q.Busy() && !q.Any() }

// Crowded reports whether the stage should wait before it adds more: the queue may soon
// be full, and the write under way may be over soon. So no burst costs an item where the
// world is only busy, and nothing waits longer than for Patience where it has stalled.
func (q *Queue[T]) Crowded() bool {
	return q.Busy() && len(q.waiting) > q.Limit/2 && time.Since(q.began) < q.Patience
}

// Begin begins to write what waits, if the outlet is ready. It reports whether it did.
func (q *Queue[T]) Begin() bool {
	if !q.Any() || !q.Ready() {
		return false
	}
	if len(q.waiting) == 0 {
		q.waiting, q.lost = append(q.waiting, q.Missing(q.lost)...), 0
	}
	q.given, q.waiting = q.waiting, q.given[:0]
	given := q.given
	q.Write(func() (int, error) { return q.Out(given) })
	return true
}

// Ended takes in the outcome of a write. What did not get through waits again, before
// all that came meanwhile.
func (q *Queue[T]) Ended(w Written) error {
	left := q.given[w.N:]
	clear(q.given[:w.N]) // what is written is not held any longer
	q.given = q.given[:0]
	if len(left) > 0 {
		q.given, q.waiting = q.waiting[:0], append(left, q.waiting...)
	}
	return q.Outlet.Ended(w)
}

// Finish writes what is left, and waits for that.
func (q *Queue[T]) Finish() error { return q.Outlet.Finish(q.Begin, q.Ended) }
