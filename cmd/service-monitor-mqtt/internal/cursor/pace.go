package cursor

import "time"

// These say how often the durable place is written. The numbers of bytes are what reached the device of
// an ext4 with a journal: see TestDevice.
const (
	day    = 24 * time.Hour
	budget = 1_000_000 // bytes a day
	// perSave is what a save costs besides the blocks of its slot. The new time of the file (mtime) is
	// in its inode, which the kernel writes to its journal a few seconds later.
	perSave = 20_000
	// perFile is what it costs to make the file, besides its slots.
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

// spent notes that bytes were written to a file whose slots have this size, also if that was in vain.
func (p *pace) spent(now time.Time, bytes, slot int) {
	if bytes == 0 {
		return
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(wait(bytes, slot))
}

// resume notes when the last save was, by the wall clock. The clock may have been set back.
func (p *pace) resume(now, saved time.Time, bytes, slot int) {
	p.next = saved.Add(wait(bytes, slot))
	if latest := now.Add(wait(bytes, slot)); p.next.After(latest) {
		p.next = latest
	}
}

// wait returns how long no bytes may be written after these. If the slots are so large that there
// would be no room for anything but making the file, then it is made on more than one day's account.
func wait(bytes, slot int) time.Duration {
	rate := max(budget-2*slot-perFile, budget/4)
	return time.Duration(float64(day) * float64(bytes+perSave) / float64(rate))
}
