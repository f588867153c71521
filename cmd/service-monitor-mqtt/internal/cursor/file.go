package cursor

import (
	"errors"
	"fmt"
	"time"
)

// Moved notes that everything up to p is acknowledged, in the volatile place. It does not keep p.Units.
// If the volatile place cannot be written, Moved returns an error, but only once until it can be written
// again. The position is noted in any case, and the next Save writes it.
func (f *File) Moved(p Position) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	step, changed := f.at.move(p)
	if !changed {
		return nil
	}
	f.generation++
	step.Generation = f.generation
	f.pace.changed(time.Now())
	err := f.volatile.add(&step, f.whole)
	first := !f.failing
	if f.failing = err != nil; f.failing && first {
		return fmt.Errorf("cannot keep cursor in memory, so more will be published again after a crash of service-monitor-mqtt: %w", err)
	}
	return nil
}

// whole returns the cursor.
func (f *File) whole() *content {
	return &content{
		Version: version, ID: f.id, Generation: f.generation, Saved: f.saved,
		Seq: f.at.Seq, Mark: f.at.Mark, Under: f.at.Under, Units: f.at.Units,
	}
}

// Due returns when to call Save; zero if everything is saved. After a Save that has failed, it may be in
// the past: how long to wait then is up to the caller.
func (f *File) Due() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pace.due()
}

// Save writes the position to the durable place, if it is not there yet. After an error the position of
// the last Save is still there, and another Save tries again.
func (f *File) Save() error {
	f.saving.Lock()
	defer f.saving.Unlock()
	line, changed, err := f.take()
	if err == nil && changed.IsZero() {
		return nil
	}
	cost := 0
	if err == nil {
		err = f.lock.Stay()
	}
	if err == nil {
		cost, err = f.durable.save(line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pace.spent(time.Now(), cost, f.durable.slot)
	if err != nil {
		f.pace.changed(changed)
		return fmt.Errorf("cannot save cursor: %w", err)
	}
	return nil
}

// take returns the line to save, and since when it is due. What changes from now on is for another save.
func (f *File) take() (line []byte, changed time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pace.first.IsZero() {
		return nil, time.Time{}, nil
	}
	changed, f.pace.first = f.pace.first, time.Time{}
	f.saved = time.Now().Unix()
	line, err = encode(f.whole())
	return line, changed, err
}

// Close saves, and ends the use of the cursor. It does not wait until a save is due: usually a machine
// that is shut down closes it. If the save fails, the rest is done.
func (f *File) Close() error {
	return errors.Join(f.Save(), f.release())
}

func (f *File) release() error {
	f.durable.close()
	f.volatile.close()
	return f.lock.Close()
}
