package count

import "service-monitor/stages/classify"

// Join returns a tally with the counts of an earlier tally of the same unit added. Between the two,
// nobody watched the unit. The sum of a tally holds for the result, and no count is lower than in
// either tally.
//
// Anything may have happened in between, so the counts are lower bounds. One thing is proven: if a
// run was going on at the end of the earlier tally, and none when the unit was next seen, that run
// has ended. Nobody saw how.
func (t Tally) Join(earlier *Tally) Tally {
	t.Starts += earlier.Starts
	t.Stops += earlier.Stops
	t.Crashes += earlier.Crashes
	t.Unknown += earlier.Unknown
	t.Restarts += earlier.Restarts
	t.Folded += earlier.Folded
	t.Times.Spent.add(earlier.Times.Spent)
	for _, c := range earlier.CrashCauses {
		t.CrashCauses = addCause(t.CrashCauses, c.Result, c.Crashes)
	}
	if t.LastCrash == nil {
		t.LastCrash = earlier.LastCrash
	}
	if !t.Life.Known() { // as with imported counts, the sum begins when the unit is seen
		t.AtLeast = t.AtLeast || earlier.AtLeast
		return t
	}
	if earlier.Life.Running() && t.FirstSeenRunning == 0 {
		t.Unknown++
	}
	t.AtLeast = true
	t.FirstSeenRunning = firstSeenRunning(&t, t.Life)
	return t
}

// firstSeenRunning returns the value of FirstSeenRunning that makes the sum of a tally hold.
func firstSeenRunning(t *Tally, life *classify.Life) int64 {
	running := int64(0)
	if life.Running() {
		running = 1
	}
	return int64(t.ends()) + running - life.Pending() - int64(t.Starts)
}
