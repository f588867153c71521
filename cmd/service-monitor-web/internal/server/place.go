package server

import (
	"net/http"
	"strconv"
	"strings"

	"service-monitor/cmd/internal/view"
	"service-monitor/stages/chronicle/store"
)

// A place is how far a client has got.
type place struct {
	given bool
	seq   uint64 // the last record whose events it has
	parts int    // how many events of the record after that it has, too
}

// placeOf returns how far the client of a request has got. A browser that comes back says so in a header.
// What it says there may be of any age, so it is wrong if no event has that identity.
func placeOf(r *http.Request) (p place, known bool, err error) {
	if ids := r.Header.Values("Last-Event-ID"); len(ids) > 0 && ids[0] != "" {
		p, known = parsePlace(ids[0])
		return p, known, nil
	}
	q := r.URL.Query()
	if !q.Has("after") {
		return place{}, true, nil
	}
	if p, known = parsePlace(q.Get("after")); !known {
		return p, false, badQuery("after must be the number of an event, found %.40q", q.Get("after"))
	}
	return p, true, nil
}

// parsePlace reads the identity of an event: see view.Event.ID.
func parsePlace(id string) (p place, ok bool) {
	number, part, some := strings.Cut(id, ".")
	seq, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return place{}, false
	}
	p = place{given: true, seq: seq}
	if some {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || n == 0 {
			return place{}, false
		}
		p.parts = int(n)
	}
	return p, true
}

// record returns the record that must be there for the place to be one of this history.
func (p place) record() uint64 {
	if p.parts > 0 {
		return p.seq + 1
	}
	return p.seq
}

// has reports whether the client has an event.
func (p place) has(e *view.Event) bool {
	return e.Seq <= p.seq || e.Seq == p.seq+1 && e.Part > 0 && e.Part <= p.parts
}

// missedBytes is how much is read of the history at once for a client that comes back.
const missedBytes = 64 << 10

// missed is what a client has missed of the history, or a part of that.
type missed struct {
	events []view.Event
	gone   []string // units that were forgotten
	last   uint64   // the last record of it
	more   bool
	lost   bool // the history does not have all of it
}

// readMissed reads what a client at a place has missed, up to a record.
func readMissed(dir string, p place, upTo uint64) (m missed, err error) {
	m.last = p.seq
	first, bytes := true, 0
	after := p.record()
	if after > 0 {
		after-- // that record itself shows that this is the history that the client knows
	}
	_, err = store.ReadAfter(dir, after, func(r *store.Record) bool {
		if first {
			first = false
			if m.lost = p.record() > 0 && r.Seq != p.record(); m.lost {
				return false
			}
		}
		if r.Seq > upTo {
			return false
		}
		if bytes >= missedBytes {
			m.more = true
			return false
		}
		for _, e := range view.Events(r) {
			if !p.has(&e) {
				m.events = append(m.events, e)
				bytes += len(e.Data)
			}
		}
		if r.Kind == store.Forgotten {
			m.gone = append(m.gone, strings.Clone(r.Unit))
		}
		m.last = r.Seq
		return true
	})
	m.lost = m.lost || first && p.record() > 0
	return m, err
}
