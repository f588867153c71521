package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

const (
	// fewest is how many segments a full store has at least. When a new segment is begun, the
	// oldest one is removed. So a store keeps at least (fewest-1)/fewest of its size.
	fewest = 8
	// Smallest is the smallest size of a store.
	Smallest = fewest * 2 * pageSize
	making   = ".new"    // of a segment that is being made
	held     = "records" // the lock has its name from this, see files.Hold
)

// A Store is a store that is open for writing. Only one process may have it open, and only one
// goroutine at a time may use it. Its methods block for as long as the disk does.
type Store struct {
	dir     string
	lock    *files.Lock
	segment int   // the size of a segment
	size    int64 // how many bytes there are at most
	names   []string
	file    *os.File // the last segment; nil if there is none yet
	pages   int      // how many pages it has
	page    int      // the page to write to
	at      int      // where in the page the next record goes
	of      page
	seq     uint64
	ended   bool // the mark of End is there
	buf     []byte
	written *files.Meter
}

// Open opens the store in a directory. If there is no directory, Open makes it. size is how many
// bytes the store may have in all. Open calls tell for each record, the oldest first, and returns
// what cannot be read. If a power cut has left a part of a last record, that part is removed. Other
// damage stays until its segment is the oldest.
func Open(dir string, size int64, tell func(*Record)) (*Store, []Damage, error) {
	s := &Store{dir: dir, size: max(size, Smallest), written: new(files.Meter)}
	s.segment = int(min(s.size/fewest, largest)) / pageSize * pageSize
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, nil, err
	}
	lock, err := hold(dir)
	if err != nil {
		return nil, nil, err
	}
	s.lock, s.ended = lock, Ended(dir)
	if s.names, err = segments(dir); err != nil {
		s.Close()
		return nil, nil, err
	}
	var damages []Damage
	var last end
	scan := newScanner()
	for i, name := range s.names {
		path := filepath.Join(dir, name)
		if err := scan.load(path); err != nil {
			s.Close()
			return nil, damages, err
		}
		_, last = scan.each(func(r *Record) bool { tell(r); return true })
		s.seq = max(s.seq, last.seq)
		for _, at := range scan.bad {
			if i < len(s.names)-1 || at != last.torn {
				damages = append(damages, Damage{path, int64(at)})
			}
		}
	}
	// A power cut may take a record that was told already, and so may an older copy that is put in
	// place of the store. The number of such a record must not be used again. So each process has
	// its own range of numbers, also if the clock was set back.
	s.seq = max(s.seq>>20+1, uint64(max(time.Now().Unix(), 0))) << 20
	if len(s.names) > 0 {
		err = s.resume(last, len(scan.data))
	}
	if err != nil {
		s.Close()
		return nil, damages, err
	}
	return s, damages, nil
}

// hold locks a store.
func hold(dir string) (*files.Lock, error) {
	lock, err := files.Hold(filepath.Join(dir, held))
	for range 20 { // InUse holds the lock for a moment
		if !errors.Is(err, files.ErrHeld) {
			break
		}
		time.Sleep(5 * time.Millisecond)
		lock, err = files.Hold(filepath.Join(dir, held))
	}
	return lock, err
}

// resume goes on in the last segment.
func (s *Store) resume(last end, size int) (err error) {
	path := filepath.Join(s.dir, s.names[len(s.names)-1])
	if s.file, err = files.Open(path, os.O_RDWR, 0); broken(err) {
		s.file = nil
		return nil // the next record begins another segment
	} else if err != nil {
		return err
	}
	s.pages = size / pageSize
	last.of.same = nil
	switch {
	case last.page < 0:
		return nil
	case last.torn >= 0: // it is zeroed, so that nothing of it follows the next record
		s.page, s.at, s.of = last.page, last.at, last.of
		n, err := s.file.WriteAt(make([]byte, pageSize-last.at), int64(last.torn))
		s.written.Add(n)
		return errors.Join(err, unix.Fdatasync(int(s.file.Fd())))
	}
	if s.page, s.at, s.of = last.page, last.at, last.of; last.bad {
		s.page, s.at, s.of = last.page+1, 0, page{}
	}
	return nil
}

// Append writes records, and gives them their numbers. It returns how many are on the disk. Without
// an error that is at least one.
func (s *Store) Append(records []Record) (written int, err error) {
	if err := s.stay(); err != nil {
		return 0, err
	}
	for written < len(records) {
		n, err := s.appendPage(records[written:])
		if written += n; n > 0 {
			err = errors.Join(err, s.resumed())
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// stay begins anew if the directory or the last segment was removed.
func (s *Store) stay() error {
	if s.file == nil || len(s.names) > 0 && files.IsAt(s.file, filepath.Join(s.dir, s.names[len(s.names)-1])) {
		return nil
	}
	if err := os.Mkdir(s.dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.lock.Stay(); err != nil {
		return err
	}
	names, err := segments(s.dir)
	if err != nil {
		return err
	}
	s.file.Close()
	s.file, s.names, s.buf = nil, names, nil
	return nil
}

// appendPage writes as many records as fit into the page. Each page is synced before the next one
// is written. So a power cut leaves at most the last page incomplete.
func (s *Store) appendPage(records []Record) (n int, err error) {
	if s.file == nil || s.page >= s.pages {
		if err := os.Mkdir(s.dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return 0, err
		}
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	b, of := s.buf[:0], s.of
	for n < len(records) {
		r := &records[n]
		r.Seq = s.seq + uint64(n) + 1
		before, texts := len(b), len(of.texts)
		seq, at := of.seq, of.time
		if b = of.append(b, r); s.at+len(b) > pageSize {
			b, of.texts, of.seq, of.time = b[:before], of.texts[:texts], seq, at
			break
		}
		n++
	}
	s.buf = b
	if n == 0 {
		if s.at == 0 {
			return 0, fmt.Errorf("a record of %s does not fit into a page", records[0].Unit)
		}
		s.page, s.at, s.of = s.page+1, 0, page{}
		return 0, nil
	}
	wrote, err := s.file.WriteAt(b, int64(s.page*pageSize+s.at))
	if s.written.Add(wrote); err != nil {
		return 0, err
	}
	if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
		return 0, &fs.PathError{Op: "sync", Path: s.file.Name(), Err: err}
	}
	s.at, s.of, s.seq = s.at+len(b), of, s.seq+uint64(n)
	return n, nil
}

// begin begins a new segment. If the store is full, the oldest one is removed before.
func (s *Store) begin() error {
	last := int64(0)
	if len(s.names) > 0 {
		last, _ = number(s.names[len(s.names)-1])
	}
	for len(s.names) > 0 && s.bytes()+int64(s.segment) > s.size {
		if err := os.Remove(filepath.Join(s.dir, s.names[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.names = s.names[1:]
	}
	name := segmentName(last + 1)
	f, err := s.create(name)
	if err != nil {
		return err
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.names, s.pages = f, append(s.names, name), s.segment/pageSize
	s.page, s.at, s.of = 0, 0, page{}
	return nil
}

// bytes returns how many bytes the segments have. Not all have the same size if the configuration
// was changed.
func (s *Store) bytes() (sum int64) {
	for _, name := range s.names {
		if info, err := os.Lstat(filepath.Join(s.dir, name)); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// create makes a segment that is full of zeros. The segment gets its name when it is complete.
func (s *Store) create(name string) (*os.File, error) {
	path := filepath.Join(s.dir, name)
	if err := os.Remove(path + making); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := files.Open(path+making, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	n := 0
	zeros := make([]byte, pageSize) // the memory for a whole segment would not be used again
	for range s.segment / pageSize {
		n, err = f.Write(zeros)
		if s.written.Add(n); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+making, path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(err, os.Remove(path+making))
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Meter has m count the bytes that are written, also those that Open has written.
func (s *Store) Meter(m *files.Meter) {
	m.Add(int(s.written.Bytes()))
	s.written = m
}

// Close closes the store.
func (s *Store) Close() {
	if s.file != nil {
		s.file.Close()
	}
	s.lock.Close()
}

// InUse reports whether a process has the store open for writing.
func InUse(dir string) bool { return files.Held(filepath.Join(dir, held)) }

// Hold keeps other processes from opening the store in a directory for writing. If there is no directory, the
// lock is nil.
func Hold(dir string) (*files.Lock, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return hold(dir)
}

// Remove removes a store that nobody uses: see Hold. If there is none, that is no error.
func Remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := number(strings.TrimSuffix(e.Name(), making)); ok || e.Name() == held+files.LockSuffix || e.Name() == endMark {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir))
}
