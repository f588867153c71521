package pipeline

import (
	"errors"
	"time"
)

// reportEvery is the shortest time between two reports that an outlet has trouble.
const reportEvery = time.Minute

// errSlow is reported of a write that takes too long, where Outlet.TooLong is nil.
var errSlow = errors.New("no answer")

// An Outlet is how a stage writes to a world that may be slow, full or gone: a disk, a
// socket, a broker. One write at a time runs beside the stage's loop, so the stage goes
// on to receive and to answer. What has failed is tried again, less and less often.
// Trouble is reported at most once a minute, and stands in the status as long as it lasts.
//
// The stage's loop has two cases for it:
//
//	case w := <-o.Done():
//		if err := o.Ended(w); err != nil {
//			return err // the last try has failed
//		}
//	case <-o.Timer():
//		o.Turn()
//
// After each turn the loop calls Write, if something is to be written and the outlet
// is Ready. When the input has ended, the stage calls Close and goes on until nothing
// is left to write. When its context is done, it calls Finish. Whoever collects items
// to write uses a [Queue].
//
// The fields are set before the first write. An Outlet belongs to its stage's goroutine.
type Outlet struct {
	// Retry is how long to wait after the first failure. The wait doubles with each
	// failure that follows, up to RetryMax. A write that fails but got a part through
	// counts as a first failure.
	Retry, RetryMax time.Duration
	// Slow is how long a write may take before that is trouble; 0 for as long as it likes.
	Slow time.Duration
	// TooLong is the error that is reported then.
	TooLong error
	// Patience is how long a write may hold up what comes in; see Queue.Crowded.
	Patience time.Duration
	// Drain is how long to try again after Close while nothing gets through. With 0
	// there is one try after Close, and its failure is final.
	Drain time.Duration

	// Fails reports trouble: a failure, and after which time it is tried again; or
	// TooLong and 0. It may be nil, as all that follow.
	Fails func(err error, retry time.Duration)
	// Works reports that trouble which was reported is over, and how long it lasted.
	Works func(after time.Duration)
	// Fault is the stage's part of the status while there is trouble.
	Fault func(since time.Time) string
	// Nudge is called when the status has changed: the port's.
	Nudge func()

	writing  <-chan Written // the outcome of the write under way; nil while there is none
	began    time.Time      // when the last write began
	failing  time.Time      // since when there is trouble; zero while there is none
	reported bool           // that there is
	quiet    time.Time      // no report before
	retry    time.Duration  // the last wait; 0 where nothing has failed
	again    time.Time      // no write before
	closed   bool
	last     bool      // the last write began after Close
	moved    time.Time // the last time that something got through; after Close, not before it
	timer    *time.Timer
}

// Written is the outcome of a write.
type Written struct {
	// N is how much got through, also where there is an error.
	N   int
	Err error
}

// Write begins to write. The outlet must be Ready. What write uses belongs to it until
// the outcome is received.
func (o *Outlet) Write(write func() (int, error)) {
	o.began, o.last = time.Now(), o.closed
	o.writing = Aside(func() Written {
		n, err := write()
		return Written{n, err}
	})
	o.arm(o.began)
}

// Ready reports whether a write may begin: none is under way, and no wait after a failure.
func (o *Outlet) Ready() bool { return o.writing == nil && !time.Now().Before(o.again) }

// Busy reports whether a write is under way.
func (o *Outlet) Busy() bool { return o.writing != nil }

// Began is when the last write began.
func (o *Outlet) Began() time.Time { return o.began }

// Failing is since when there is trouble, zero while there is none.
func (o *Outlet) Failing() time.Time { return o.failing }

// Owing reports whether the start of the monitor should wait for the write under way.
// It does not wait for a world that has trouble: that may last for ever.
func (o *Outlet) Owing() bool { return o.Busy() && o.failing.IsZero() }

// Closed reports whether Close was called.
func (o *Outlet) Closed() bool { return o.closed }

// Status is the stage's part of the status, empty where all is well.
func (o *Outlet) Status() string {
	if o.failing.IsZero() || o.Fault == nil {
		return ""
	}
	return o.Fault(o.failing)
}

// Done delivers the outcome of the write under way, for Ended.
func (o *Outlet) Done() <-chan Written { return o.writing }

// Timer delivers when the outlet needs its stage to turn.
func (o *Outlet) Timer() <-chan time.Time {
	if o.timer == nil {
		return nil
	}
	return o.timer.C
}

// Turn looks whether the write under way takes too long.
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

// Ended takes in the outcome of the write that was under way. It returns an error when
// that was the last try.
func (o *Outlet) Ended(w Written) error {
	now := time.Now()
	o.writing = nil
	defer o.arm(now)
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
	if o.closed == o.last { // or Close came meanwhile, and the last try follows at once
		o.again = now.Add(o.retry)
	}
	o.trouble(w.Err, o.retry, now, now)
	return nil
}

// Close says that nothing more comes in. What is left is tried at once.
func (o *Outlet) Close() {
	o.closed = true
	o.retry, o.again, o.moved = 0, time.Time{}, time.Now()
	o.arm(o.moved)
}

// Finish writes what is left, and waits for that: the stage is being aborted. begin
// begins the next write, and reports whether there was something left; ended takes
// in its outcome, as Ended does.
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
	if !now.Before(o.quiet) {
		o.quiet, o.reported = now.Add(reportEvery), true
		if o.Fails != nil {
			o.Fails(err, retry)
		}
	}
}

func (o *Outlet) well(now time.Time) {
	o.again = time.Time{}
	if o.failing.IsZero() {
		return
	}
	if o.reported && o.Works != nil {
		o.Works(now.Sub(o.failing))
	}
	o.failing, o.reported = time.Time{}, false
	o.nudge()
}

func (o *Outlet) nudge() {
	if o.Nudge != nil {
		o.Nudge()
	}
}

// arm sets the timer to when the stage must turn next.
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

// next is when the stage must turn next, zero if that is up to others.
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
	case o.failing.IsZero() || slow.After(o.quiet):
		return slow
	}
	return o.quiet
}
