package publish

import (
	"cmp"
	"errors"
	"io/fs"

	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/journald/records"
)

// ahead is how many records are read at once. They take some 100 kB.
const ahead = 256

// A backlog is the part of the chronicle that was read and is not acknowledged.
type backlog struct {
	records []store.Record
	done    int  // how many of the records are acknowledged
	more    bool // the chronicle may have others
	old     int  // counts how often what is being read has become worthless
	// lost is not nil if the chronicle does not have the record of the cursor any more. It has for each
	// unit how many events are older than its first record.
	lost map[string]uint64
}

// forget lets go of what was read: the chronicle is another one.
func (b *backlog) forget() {
	b.records, b.done, b.lost, b.more = nil, 0, nil, true
	b.old++
}

// settle lets go of the records that are acknowledged.
func (b *backlog) settle() {
	b.records = b.records[min(b.done, len(b.records)):]
	b.done = 0
	if len(b.records) == 0 {
		b.records = nil
	}
}

// hungry reports whether there is something to read.
func (b *backlog) hungry() bool { return b.more && len(b.records) == 0 }

// waits reports whether there is something to publish.
func (b *backlog) waits() bool { return len(b.records) > 0 || b.lost != nil }

// took takes what was read, unless it is of another chronicle.
func (b *backlog) took(r reading) {
	if r.old != b.old {
		return
	}
	b.records = r.records
	b.more = b.more || len(r.records) == ahead || r.err != nil
	if r.lost != nil {
		b.lost = r.lost
	}
}

// A reading is a part of the chronicle.
type reading struct {
	records []store.Record
	lost    map[string]uint64
	old     int
	err     error
}

// readSynced reads, and then syncs the chronicle. Otherwise a power cut could take away a record that is
// published already. The monitor would write the same event once more, with another number, and no consumer
// could see that it is a repeat.
func readSynced(dir string, seq uint64, mark string, known bool) reading {
	r := read(dir, seq, mark, known)
	if len(r.records) > 0 {
		if err := store.Sync(dir); err != nil {
			return reading{err: err}
		}
	}
	return r
}

// read reads the records after that of a cursor. If that one is gone, or if none is known, it looks at
// the whole chronicle to find out what is missing.
func read(dir string, seq uint64, mark string, known bool) (r reading) {
	found := seq == 0 && known
	_, r.err = store.ReadAfter(dir, max(seq, 1)-1, func(rec *store.Record) bool {
		if rec.Seq == seq {
			found = cursor.Mark(rec) == mark
			return found
		}
		if !found {
			return false
		}
		r.records = append(r.records, *rec)
		return len(r.records) < ahead
	})
	if errors.Is(r.err, fs.ErrNotExist) {
		return reading{} // there is no chronicle yet
	}
	if r.err == nil && !found {
		return survey(dir, seq)
	}
	return r
}

// survey reads the whole chronicle. The records after a number are returned. The numbers follow the clock, so
// if all are lower, the chronicle is another one, or the clock was wrong, and its first records are returned.
// But after a power cut it may be the same one that lacks its end, until the monitor writes its first record
// of this boot.
func survey(dir string, after uint64) (r reading) {
	last, boot := uint64(0), ""
	r.lost = map[string]uint64{}
	_, r.err = store.Read(dir, func(rec *store.Record) bool {
		last, boot = rec.Seq, cmp.Or(rec.Boot, boot)
		if _, known := r.lost[rec.Unit]; !known && rec.Unit != "" {
			r.lost[rec.Unit] = sum(rec.After.Minus(rec.Delta))
		}
		if rec.Seq > after && len(r.records) < ahead {
			r.records = append(r.records, *rec)
		}
		return true
	})
	switch {
	case r.err != nil || last > after:
		return r
	case after > 0 && boot == records.Boot():
		return survey(dir, 0)
	}
	return reading{}
}
