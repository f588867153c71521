package publish

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"time"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle/store"
)

const (
	// soon is when to look for the box of a crash, and later when to look once more: the monitor waits for
	// the lines to arrive in the journal, for half a minute at most.
	soon  = 3 * time.Second
	later = 40 * time.Second
	// mostWaiting is how many crashes may wait for their boxes. In a loop few crashes have one.
	mostWaiting = 64
	// tries is how often a box is tried. On a link that is too slow for it, each try ends with the connection,
	// and events must not wait for that for ever.
	tries = 2
)

// boxes are the crashes of which the box is to be published.
type boxes struct {
	dir     string // empty if no boxes are published
	waiting []crash
	found   []blackbox.Box
	failed  int // how often the first one found was lost with the connection
	now     func() time.Time
}

// A crash waits for its box.
type crash struct {
	unit, invocation string
	due              time.Time
	second           bool // it had none when its box was looked for the first time
}

// crashed notes that a crash was published.
func (b *boxes) crashed(r *store.Record) {
	if b.dir == "" || r.Delta.Crashes == 0 || r.Invocation == [16]byte{} {
		return
	}
	if len(b.waiting) >= mostWaiting {
		b.waiting = b.waiting[1:]
	}
	b.waiting = append(b.waiting, crash{r.Unit, hex.EncodeToString(r.Invocation[:]), b.now().Add(soon), false})
}

// due returns when to look for the next box; zero if none is awaited.
func (b *boxes) due() (at time.Time) {
	for _, c := range b.waiting {
		if at.IsZero() || c.due.Before(at) {
			at = c.due
		}
	}
	return at
}

// take returns the crashes whose boxes are due now.
func (b *boxes) take(now time.Time) (list []crash) {
	var rest []crash
	for _, c := range b.waiting {
		if now.Before(c.due) {
			rest = append(rest, c)
			continue
		}
		list = append(list, c)
	}
	b.waiting = rest
	return list
}

// look reads the boxes of crashes. It returns the crashes that have none. An error is that of a box that cannot
// be read.
func look(dir string, list []crash) (found []blackbox.Box, missing []crash, err error) {
	for _, c := range list {
		all, unread := blackbox.Read(dir, c.unit)
		if unread != nil && !errors.Is(unread, fs.ErrNotExist) {
			err = unread
		}
		i := slices.IndexFunc(all, func(b blackbox.Box) bool { return b.Invocation == c.invocation })
		if i < 0 {
			missing = append(missing, c)
			continue
		}
		found = append(found, all[i])
	}
	return found, missing, err
}

// took takes what was found. A crash without a box comes back once.
func (b *boxes) took(found []blackbox.Box, missing []crash) {
	b.found = append(b.found, found...)
	for _, c := range missing {
		if !c.second && len(b.waiting) < mostWaiting {
			c.second, c.due = true, b.now().Add(later)
			b.waiting = append(b.waiting, c)
		}
	}
}

// box returns the messages of the next box that was found.
func (p *plan) box() (jobs []job) {
	b := &p.boxes
	if len(b.found) == 0 {
		return nil
	}
	box := b.found[0]
	done := func() { b.found, b.failed = b.found[1:], 0 }
	jobs = orElse(p.add(nil, done, p.scheme.Crash(&box)...), done)
	for i := range jobs {
		jobs[i].failed = func() {
			if b.failed++; b.failed == tries {
				done()
			}
		}
	}
	return jobs
}
