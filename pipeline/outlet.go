package pipeline

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// reportEvery is the shortest time between two reports of trouble.
const reportEvery = time.Minute

// errSlow is reported if a write takes too long and Outlet.TooLong is nil.
var errSlow = errors.New("no answer")

// An Outlet lets a stage write to something that may be slow, full or gone: a disk, a socket,
// a broker. One write at a time runs beside the stage's loop, so the stage goes on to
// receive and to answer. A write that has failed is tried again, less and less often. A
// write that fails or takes too long is trouble. Trouble is reported at most once a minute,
// and is in the status as long as it lasts.
//
// The stage's loop has two cases for it:
//
//	case w := <-o.Done():
//		if err := o.Ended(w); err != nil {
//			return err // the last attempt has failed
//		}
//	case <-o.Timer():
//		o.Turn()
//
// Each time round, the loop calls Write if there is something to write and the outlet is
// Ready. When the input has ended, the stage calls Close and goes on until nothing is left
// to write. When its context is done, it calls Finish. A stage that collects items to write
// uses a [Queue].
//
// Set the fields before the first write. Only the stage's goroutine may use an Outlet.
type Outlet struct {
	// Retry is how long to wait after the first failure. The wait doubles with each further
	// failure, up to RetryMax. A write that has written a part before it failed counts as a
	// first failure.
	Retry, RetryMax time.Duration
	// Jitter is which part of each wait is left to chance, from 0 to 1. Many gateways that have lost the
	// same broker must not come back at the same moment.
	Jitter float64
	// Slow is how long a write may take before that is trouble; 0 means that it never is.
	Slow time.Duration
	// TooLong is the error that is reported for a slow write.
	TooLong error
	// Patience is how long a write may keep the stage from taking input; see Queue.Crowded.
	Patience time.Duration
	// Drain is how long to repeat failed attempts after Close while nothing gets through. 0
	// means that there is one attempt after Close, and if it fails, that is final.
	Drain time.Duration

	// OnTrouble reports trouble: either the error of a write and the time until the next
	// attempt, or TooLong and 0. This function and the next ones may be nil.
	OnTrouble func(err error, retry time.Duration)
	// OnRecovered reports that the trouble is over, and how long it lasted. It is called only if
	// OnTrouble was called before.
	OnRecovered func(after time.Duration)
	// TroubleStatus returns the stage's part of the status while there is trouble.
	TroubleStatus func(since time.Time) string
	// Nudge is called when the status has changed. It should be Port.Nudge.
	Nudge func()

	writing    <-chan Written // delivers the outcome of the write under way; nil if there is none
	began      time.Time      // when the last write began
	failing    time.Time      // when the trouble began; zero if there is none
	reported   bool           // OnTrouble was called for this trouble
	nextReport time.Time      // trouble is not reported again before
	retry      time.Duration  // the last wait; 0 if the last write has not failed
	again      time.Time      // there is no write before
	delays     time.Time      // since when READY=1 waits for writes; zero if it does not
	closed     bool
	last       bool      // the last write began after Close
	moved      time.Time // when something got through the last time, or the time of Close if that is later
	timer      *time.Timer
	failures   atomic.Uint64
}

// Written is the outcome of a write.
type Written struct {
	// N is how much was written, also if there is an error.
	N   int
	Err error
}

// Write begins to write. The outlet must be Ready. The stage must not use what write uses
// until it has received the outcome.
func (o *Outlet) Write(write func() (int, error)) {
	o.began, o.last = time.Now(), o.closed
	o.writing = Aside(func() Written {
		n, err := write()
		return Written{n, err}
	})
	o.arm(o.began)
}

// Ready reports whether a write may begin: no write is under way, and the wait after a failure
// is over.
func (o *Outlet) Ready() bool { return o.writing == nil && !time.Now().Before(o.again) }

// Busy reports whether a write is under way.
func (o *Outlet) Busy() bool { return o.writing != nil }

// Began returns when the last write began.
func (o *Outlet) Began() time.Time { return o.began }

// Failing returns when the trouble began; zero if there is none.
func (o *Outlet) Failing() time.Time { return o.failing }

// DelaysReady reports whether READY=1 should wait for the write under way. It should not if there
// is trouble, because that may last for ever. Nor should it wait longer than for one slow write: in a
// storm one write follows the other, so on a slow disk there would be no end.
func (o *Outlet) DelaysReady() bool {
	switch {
	case !o.Busy():
		o.delays = time.Time{}
	case o.delays.IsZero():
		o.delays = time.Now()
	}
	return o.Busy() && o.failing.IsZero() && (o.Slow == 0 || time.Since(o.delays) < o.Slow)
}

// Failures returns how many writes have failed. Any goroutine may call it.
func (o *Outlet) Failures() uint64 { return o.failures.Load() }

// Closed reports whether Close was called.
func (o *Outlet) Closed() bool { return o.closed }

// Trouble says what is wrong, for Answer; empty if all is well.
func (o *Outlet) Trouble() string {
	if o.failing.IsZero() || o.TroubleStatus == nil {
		return ""
	}
	return o.TroubleStatus(o.failing)
}

// Done delivers the outcome of the write under way, for Ended.
func (o *Outlet) Done() <-chan Written { return o.writing }

// Timer delivers when the stage has to call Turn and go round its loop.
func (o *Outlet) Timer() <-chan time.Time {
	if o.timer == nil {
		return nil
	}
	return o.timer.C
}

// Turn reports trouble if the write under way takes too long.
func (o *Outlet) Turn() {
	now := time.Now()
	if o.Busy() && o.Slow > 0 && now.Sub(o.began) >= o.Slow {
		err := o.TooLong
		if err == nil {
			err = errSlow
		}
		o.trouble(err, 0, o.began, now)
	}
	o.arm(now)
}

// Ended handles the outcome of the write that was under way. It returns an error if that was
// the last attempt.
func (o *Outlet) Ended(w Written) error {
	now := time.Now()
	o.writing = nil
	defer o.arm(now)
	if w.Err != nil {
		o.failures.Add(1)
	}
	if w.Err == nil || w.N > 0 {
		o.retry = 0
	}
	if w.Err == nil || w.N > 0 || !o.last {
		o.moved = now
	}
	switch {
	case w.Err == nil:
		o.well(now)
		return nil
	case o.last && now.Sub(o.moved) >= o.Drain:
		return w.Err
	}
	o.retry = min(max(2*o.retry, o.Retry), o.RetryMax)
	if o.closed == o.last { // if Close was called meanwhile, the last attempt follows at once
		o.again = now.Add(o.retry - time.Duration(o.Jitter*rand.Float64()*float64(o.retry)))
	}
	o.trouble(w.Err, o.retry, now, now)
	return nil
}

// Close says that there will be no more input. What is left is written at once, without the
// wait after a failure.
func (o *Outlet) Close() {
	o.closed = true
	o.retry, o.again, o.moved = 0, time.Time{}, time.Now()
	o.arm(o.moved)
}

// Finish writes what is left and returns when that is done. A stage calls it when it is
// aborted. begin begins the next write, and reports whether anything was left. ended handles
// its outcome, as Ended does.
func (o *Outlet) Finish(begin func() bool, ended func(Written) error) error {
	for o.Close(); o.Busy() || begin(); time.Sleep(time.Until(o.again)) {
		if err := ended(<-o.writing); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outlet) trouble(err error, retry time.Duration, since, now time.Time) {
	if o.failing.IsZero() {
		o.failing = since
		o.nudge()
	}
	if !now.Before(o.nextReport) {
		o.nextReport, o.reported = now.Add(reportEvery), true
		if o.OnTrouble != nil {
			o.OnTrouble(err, retry)
		}
	}
}

func (o *Outlet) well(now time.Time) {
	o.again = time.Time{}
	if o.failing.IsZero() {
		return
	}
	if o.reported && o.OnRecovered != nil {
		o.OnRecovered(now.Sub(o.failing))
	}
	o.failing, o.reported = time.Time{}, false
	o.nudge()
}

func (o *Outlet) nudge() {
	if o.Nudge != nil {
		o.Nudge()
	}
}

// arm sets the timer to the time when the stage must call Turn next.
func (o *Outlet) arm(now time.Time) {
	next := o.next(now)
	switch {
	case next.IsZero() && o.timer != nil:
		o.timer.Stop()
	case next.IsZero():
	case o.timer == nil:
		o.timer = time.NewTimer(next.Sub(now))
	default:
		o.timer.Reset(next.Sub(now))
	}
}

// next returns when the stage must call Turn next; zero if it need not.
func (o *Outlet) next(now time.Time) time.Time {
	slow, patience := o.began.Add(o.Slow), o.began.Add(o.Patience)
	switch {
	case !o.Busy() && now.Before(o.again):
		return o.again
	case !o.Busy():
		return time.Time{}
	case now.Before(patience):
		return patience
	case o.Slow == 0:
		return time.Time{}
	case o.failing.IsZero() || slow.After(o.nextReport):
		return slow
	}
	return o.nextReport
}
