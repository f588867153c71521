package view

import (
	"slices"
	"time"

	"service-monitor/stages/count"
)

// A canvas is the time of a timeline, all of it in spans, in their order. What is painted covers what was
// there.
type canvas []stroke

type stroke struct {
	from, to time.Time
	phase    string
	mixed    bool
	up       float64
}

// paint paints a part of the canvas. What is beyond its edges is left out, and so is an unknown phase.
func (c *canvas) paint(s stroke) {
	list := *c
	if s.from.Before(list[0].from) {
		s.from = list[0].from
	}
	if end := list[len(list)-1].to; s.to.After(end) {
		s.to = end
	}
	if s.phase == "" || !s.from.Before(s.to) {
		return
	}
	// first is the span in which the stroke begins, and last the one in which it ends.
	first, _ := slices.BinarySearchFunc(list, s.from, func(old stroke, at time.Time) int {
		if old.to.After(at) {
			return 1
		}
		return -1
	})
	last := first
	for list[last].to.Before(s.to) {
		last++
	}
	var room [3]stroke
	parts := room[:0]
	if before := list[first]; before.from.Before(s.from) {
		before.to = s.from
		parts = append(parts, before)
	}
	parts = append(parts, s)
	if after := list[last]; s.to.Before(after.to) {
		after.from = s.to
		parts = append(parts, after)
	}
	*c = slices.Replace(list, first, last+1, parts...)
}

// draw returns the spans of a unit. They go from the beginning to the end.
func (t *Tracer) draw(u *trace, tally *count.Tally) []Span {
	c := canvas{{from: t.from, to: t.to, phase: unobserved}}
	t.told(&c, u, tally)
	for _, g := range t.gaps {
		c.paint(stroke{from: g.from, to: g.to, phase: unobserved})
	}
	t.lasting(&c, u, tally)
	t.proven(&c, u)
	return t.spans(c)
}

// told paints the phase after each record until the next one, and the present one.
func (t *Tracer) told(c *canvas, u *trace, tally *count.Tally) {
	is, at := u.before, u.at
	for i := range u.steps {
		s := &u.steps[i]
		if end := at.Add(s.back); s.was == down && is == down && s.at.Sub(end) > time.Second {
			// Somebody has released it before it was started again, and there is no record of that.
			c.paint(stroke{from: at, to: end, phase: down})
			is, at = stopped, end
		}
		c.paint(stroke{from: at, to: s.at, phase: is})
		is, at = s.is, s.until
	}
	c.paint(stroke{from: at, to: t.to, phase: is})
	now, since := present(tally)
	if since.Before(at) {
		since = at
	}
	if now != is {
		c.paint(stroke{from: since, to: t.to, phase: now})
	}
}

// lasting paints the present phase in the times in which nobody watched, because the counters prove it. The keeper of the
// counters lets a phase go on only if the same run is still there, or if the journal has nothing of the unit meanwhile.
// After a reboot, and after a time of which it knows nothing, a phase begins anew. Its beginning is taken from the clock
// that nobody can set: the wall clock may have been wrong then.
func (t *Tracer) lasting(c *canvas, u *trace, tally *count.Tally) {
	now, _ := present(tally)
	since, known := t.clock.When(tally.Times.Boot, tally.Times.Clock)
	if !known || count.PhaseNamed(now) != tally.Times.Phase {
		return
	}
	since = latest(since, u.last())
	for _, g := range t.gaps {
		end := g.to
		if t.counted.Before(end) {
			end = t.counted // what was later is not in the counters
		}
		c.paint(stroke{from: latest(g.from, since), to: end, phase: now})
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// proven paints what is known of the time in which nobody watched, and what was by turns.
func (t *Tracer) proven(c *canvas, u *trace) {
	is := u.before
	for i := range u.steps {
		s := &u.steps[i]
		if s.back > 0 && s.was != is || s.back > 0 && t.gapAt(s.at.Add(-s.back), s.at) != nil && s.was == up {
			c.paint(stroke{from: s.at.Add(-s.back), to: s.at, phase: s.was})
		}
		if g := t.gapAt(s.until, s.until); g != nil && s.later {
			end := g.to
			if i+1 < len(u.steps) && u.steps[i+1].at.Before(end) {
				end = u.steps[i+1].at
			}
			c.paint(stroke{from: s.until, to: end, phase: s.is})
		}
		if s.mixed && s.until.After(s.at) {
			c.paint(stroke{from: s.at, to: s.until, phase: mostly(s), mixed: true, up: s.up})
		}
		is = s.is
	}
}

// mostly returns the phase in which a unit was most of the time.
func mostly(s *step) string {
	if s.up < 0 && s.is != "" {
		return s.is
	}
	if s.up < 0.5 {
		return down
	}
	return up
}

// gapAt returns a gap that has a part of a time; nil if there is none.
func (t *Tracer) gapAt(from, to time.Time) *gap {
	for i := range t.gaps {
		if g := &t.gaps[i]; !from.After(g.to) && !to.Before(g.from) && to.Before(g.to) {
			return g
		}
	}
	return nil
}

// spans returns what was painted. Neighbours of the same phase are one span.
func (t *Tracer) spans(c canvas) []Span {
	list := []Span{}
	for i := range c {
		s := Span{From: t.seconds(c[i].from), To: t.seconds(c[i].to), Phase: c[i].phase, Mixed: c[i].mixed}
		if s.Mixed && c[i].up >= 0 {
			s.Up = &c[i].up
		}
		n := len(list)
		switch {
		case s.From >= s.To: // shorter than a millisecond
		case n > 0 && list[n-1].Phase == s.Phase && !list[n-1].Mixed && !s.Mixed:
			list[n-1].To = s.To
		default:
			list = append(list, s)
		}
	}
	return list
}
