package cursor

import "time"

// These say how often the durable place is written. The numbers of bytes are what reached the device of
// an ext4 with a journal: see TestDevice.
const (
	day    = 24 * time.Hour
	budget = 1_000_000 // bytes a day
	// perSave is what a save costs besides the blocks of its slot. It was 16,384 bytes: the new time of
	// the file (mtime) is in its inode, which the kernel writes to its journal a few seconds later.
	perSave = 20_000
	// perFile is what it costs to make the file, besides its slots. It was 65,536 bytes.
	perFile = 80_000
	// settle is how long a first change waits for others. A service that has crashed is up again by then.
	settle = 30 * time.Second
)

// A pace says when to save. It holds no clock. A save that costs many bytes puts off the next one for
// long: first comes the save, then the wait. So on any one day there is at most one save more than the
// rate allows, and the rate leaves room for the largest one.
type pace struct {
	first time.Time // the first change that is not saved; zero if there is none
	next  time.Time // there is no save before
}

// due returns when to save; zero if there is nothing to save.
func (p *pace) due() time.Time {
	if p.first.IsZero() {
		return time.Time{}
	}
	if due := p.first.Add(settle); due.After(p.next) {
		return due
	}
	return p.next
}

// changed notes a change.
func (p *pace) changed(now time.Time) {
	if p.first.IsZero() || now.Before(p.first) {
		p.first = now
	}
}

// spent notes that bytes have reached the device, also if that was in vain. slot is the size of a slot.
func (p *pace) spent(now time.Time, bytes, slot int) {
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(wait(bytes, slot))
}

// resume notes when these bytes were saved, by the wall clock. The clock may have been set back since.
func (p *pace) resume(now, saved time.Time, bytes, slot int) {
	if saved.After(now) {
		saved = now
	}
	p.next = now.Add(wait(bytes, slot) - now.Sub(saved)) // on the monotonic clock, if now has it
}

// wait returns how long to wait when bytes have reached the device. What the rate leaves of the budget is
// for the largest save, which makes the file anew. With more than about 7,000 units that leaves too
// little, and a day on which the file is made has more.
func wait(bytes, slot int) time.Duration {
	rate := max(budget-2*slot-perFile, budget/4)
	return time.Duration(float64(day) * float64(bytes) / float64(rate))
}
