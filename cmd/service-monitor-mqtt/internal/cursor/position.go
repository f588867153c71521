package cursor

import (
	"fmt"
	"hash/fnv"
	"maps"

	"service-monitor/stages/chronicle/store"
)

// A Position is how far everything is acknowledged. The zero Position is before the first record.
type Position struct {
	// Seq is the number of the last record of the chronicle of which all messages are acknowledged.
	Seq uint64
	// Mark recognises that record: see Mark. Another chronicle may use the same numbers.
	Mark string
	// Units has the sum of the five counts of each unit as of Seq, as far as they were published. Each
	// unit that has retained messages is a key here, so that they can be cleared later if the unit is
	// removed while nobody publishes.
	Units map[string]uint64
	// Under says where the retained messages are: scheme, gateway and so on. Only the caller reads it.
	Under string
}

// Mark returns a checksum of what a record tells.
func Mark(r *store.Record) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %d %s %q %v %x", r.Kind, r.Time.UnixMicro(), r.Monotonic, r.Boot, r.Unit, r.After, r.Invocation)
	return fmt.Sprintf("%016x", h.Sum64())
}

func (p Position) clone() Position {
	if p.Units = maps.Clone(p.Units); p.Units == nil {
		p.Units = map[string]uint64{}
	}
	return p
}

// move makes p the same as to. It returns what has changed, and whether anything has. Comparing the
// units costs much less than encoding them all.
func (p *Position) move(to Position) (step content, changed bool) {
	step.Seq, step.Mark, step.Under, step.Units = to.Seq, to.Mark, to.Under, map[string]uint64{}
	for unit, sum := range to.Units {
		if was, known := p.Units[unit]; !known || was != sum {
			step.Units[unit], p.Units[unit] = sum, sum
		}
	}
	if len(p.Units) != len(to.Units) {
		for unit := range p.Units {
			if _, stays := to.Units[unit]; !stays {
				step.Gone = append(step.Gone, unit)
				delete(p.Units, unit)
			}
		}
	}
	changed = p.Seq != to.Seq || p.Mark != to.Mark || p.Under != to.Under || len(step.Units) > 0 || len(step.Gone) > 0
	p.Seq, p.Mark, p.Under = to.Seq, to.Mark, to.Under
	return step, changed
}
