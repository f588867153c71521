package chronicle

import (
	"maps"
	"math"
	"slices"
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/zone"
)

// saved returns a channel that is closed when nothing will be saved any more; nil if nobody saves.
func (s *Stage) saved() <-chan struct{} {
	if s.saver == nil {
		return nil
	}
	return s.saver.Ended()
}

// finish writes what is left, and returns when that is done.
func (s *Stage) finish() {
	if s.opening != nil { // the opening may write, and nothing may be written after Run
		if opened := <-s.opening; opened.Store != nil {
			s.began(opened, time.Now())
		}
	}
	if s.store == nil {
		return
	}
	s.rest(time.Now())
	s.disk.Begin() // nobody waits for the last save if it takes too long
	if saved := s.saved(); saved != nil {
		<-saved
	}
	s.end(time.Now())
	if err := s.disk.Finish(); err != nil {
		s.lacks(err)
		return
	}
	s.store.Close()
}

// lacks logs that the last records could not be written. That is no failure of the monitor, because
// the state file has the counts.
func (s *Stage) lacks(err error) {
	s.log.WithError(err).Error("cannot write the end of the history; the next start makes up for it")
	s.store.Close()
}

// rest makes records of all that was kept back. No more events come. Only the first call does something.
func (s *Stage) rest(now time.Time) {
	if s.disk.Limit == math.MaxInt {
		return
	}
	s.disk.Limit = math.MaxInt // nothing more comes, so all of it may wait
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		u := s.units[name]
		if u.gone {
			s.add(store.Record{Kind: store.Forgotten, Time: zone.Local(now), Unit: name, After: u.has}, now)
		}
		if u.settled {
			s.settle(name, u, now)
		}
		if u.fold != nil {
			s.unfold(name, u, now)
		}
		if u.unseen {
			s.add(store.Record{Kind: store.Seen, Time: zone.Local(now), Unit: name, After: u.has}, now)
		}
	}
	s.write()
}

// end writes that the monitor has stopped, and whether what is saved has the counts of the history. Only the
// first call does something.
func (s *Stage) end(now time.Time) {
	if s.disk.Closed() {
		return
	}
	var open store.Flags
	for _, u := range s.units {
		if !u.gone && u.has != u.is { // its events were still being told again
			open = store.Untold
		}
	}
	if s.partial || len(s.retold) > 0 || s.saver != nil && !s.saver.All() {
		open = store.Untold
	}
	s.monitor(store.Stopped, open, now)
	s.write()
	s.disk.Close()
}
