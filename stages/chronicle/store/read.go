package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

const (
	suffix = ".v1" // of a segment; the number is the version of the format
	// largest is the size of the largest segment.
	largest = 256 << 10
)

// Damage is a place in a store that cannot be read.
type Damage struct {
	File string
	At   int64 // where in the file; the rest of that page cannot be read either
}

// String says where the damage is.
func (d Damage) String() string { return fmt.Sprintf("%s is damaged at byte %d", d.File, d.At) }

// Read calls tell for each record of a store, the oldest first, until it returns false. The record
// is only valid during the call. Another process may write meanwhile. What cannot be read is left
// out, and returned as damage. The last page may end with a part of a record, and that is no
// damage. If there is no store, or it has ended, the error is fs.ErrNotExist.
func Read(dir string, tell func(*Record) bool) ([]Damage, error) { return ReadAfter(dir, 0, tell) }

// ReadAfter is like Read, but it leaves out the records up to a sequence number. It reads no
// segment that has only such records, so it is quick if few others are left.
func ReadAfter(dir string, seq uint64, tell func(*Record) bool) ([]Damage, error) {
	names, err := segments(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 || Ended(dir) {
		return nil, &fs.PathError{Op: "read", Path: dir, Err: fs.ErrNotExist}
	}
	var damages []Damage
	s := newScanner()
	from := s.find(dir, names, seq)
	for i, name := range names {
		if i < from {
			continue
		}
		path := filepath.Join(dir, name)
		err := s.load(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was the oldest one, and made room
		}
		if err != nil {
			return damages, err
		}
		more, end := s.each(func(r *Record) bool { return r.Seq <= seq || tell(r) })
		for _, at := range s.bad {
			if i == len(names)-1 && at == end.torn {
				continue
			}
			damages = append(damages, Damage{path, int64(at)})
		}
		if !more {
			break
		}
	}
	return damages, nil
}

// Sync returns when a power cut leaves all that was read before. The writer syncs each page a moment after it
// has written it, and a reader may be in between.
func Sync(dir string) error {
	names, err := segments(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	f, err := files.Open(filepath.Join(dir, names[len(names)-1]), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	return nil
}

// find returns from which segment on to read for a record. It is the last segment that begins with
// that record or an earlier one.
func (s *scanner) find(dir string, names []string, seq uint64) int {
	for i := len(names) - 1; i > 0 && seq > 0; i-- {
		first := uint64(math.MaxUint64) // a segment without records begins with those to come
		if err := s.load(filepath.Join(dir, names[i])); err == nil {
			s.each(func(r *Record) bool { first = r.Seq; return false })
		}
		if first <= seq {
			return i
		}
	}
	return 0
}

// segments returns the names of the segments of a store, the oldest first.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, ok := number(e.Name()); ok && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// number returns the number in the name of a segment. Files with other names are left alone.
func number(name string) (n int64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && err == nil && n > 0 && name == segmentName(n)
}

func segmentName(n int64) string { return fmt.Sprintf("%010d%s", n, suffix) }

// A scanner reads segments.
type scanner struct {
	buf   []byte // a whole segment
	data  []byte // the part of it that the file has
	bad   []int  // where the segment is damaged
	lost  []int  // the pages of it that the disk cannot read
	zones map[int]*time.Location
	texts map[string]string
	room  []string // for the texts of a page
}

func newScanner() *scanner {
	return &scanner{zones: map[int]*time.Location{}, texts: map[string]string{}}
}

// load reads a segment. What the disk cannot read any more is damage, and no error.
func (s *scanner) load(path string) error {
	s.data, s.lost = nil, s.lost[:0]
	f, err := files.Open(path, os.O_RDONLY, 0)
	if broken(err) {
		s.lost = append(s.lost, 0)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return s.fill(f)
}

// fill reads a segment. If the disk cannot read all of it, fill reads it page by page.
func (s *scanner) fill(f io.ReaderAt) error {
	if s.buf == nil {
		s.buf = make([]byte, largest)
	}
	n, err := f.ReadAt(s.buf, 0)
	if broken(err) {
		n, err = s.fillPages(f)
	}
	if err != nil && err != io.EOF {
		return err
	}
	s.data = s.buf[:n]
	return nil
}

func (s *scanner) fillPages(f io.ReaderAt) (n int, err error) {
	for n < largest && err == nil {
		page, part := s.buf[n:n+pageSize], 0
		if part, err = f.ReadAt(page, int64(n)); broken(err) {
			clear(page) // as a page without records
			s.lost = append(s.lost, n)
			part, err = pageSize, nil
		}
		n += part
	}
	return n, err
}

// broken reports whether an error means that the disk or the file system has lost what it held (errno(3)).
func broken(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EBADMSG)
}

// An end is where the records of a segment end.
type end struct {
	page int  // the number of the last page that has a record
	at   int  // where the next record of that page begins
	of   page // what is known of that page
	torn int  // where a record begins that was not written completely; -1 if there is none
	bad  bool // that page is damaged in another way
	seq  uint64
}

// each calls tell for each record of the loaded segment, until it returns false. It reports whether
// it always returned true, and where the records end.
func (s *scanner) each(tell func(*Record) bool) (more bool, e end) {
	s.bad, e.page, e.torn = s.bad[:0], -1, -1
	var r Record
	for from := 0; from < len(s.data); from += pageSize {
		if slices.Contains(s.lost, from) {
			s.bad = append(s.bad, from)
			e.page, e.at, e.of, e.torn, e.bad = from/pageSize, 0, page{}, -1, true
			continue
		}
		data := s.data[from:min(from+pageSize, len(s.data))]
		p := page{same: s.texts, texts: s.room[:0]}
		at := 0
		for {
			n, err := p.decode(data[at:], &r, s.zone)
			if err != nil {
				s.bad = append(s.bad, from+at)
				e.page, e.at, e.of, e.torn = from/pageSize, at, p, -1
				if e.bad = complete(data[at:]); !e.bad {
					e.torn = from + at
				}
				break
			}
			if n == 0 {
				break
			}
			at += n
			e.page, e.at, e.of, e.torn, e.bad, e.seq = from/pageSize, at, p, -1, false, r.Seq
			if !tell(&r) {
				return false, e
			}
		}
		s.room = p.texts
	}
	if len(s.data) == 0 {
		s.bad = append(s.bad, s.lost...)
	}
	return true, e
}

// complete reports whether any record in b has the right checksum. Then a bad record at the
// beginning of b is more than the end of what was written.
func complete(b []byte) bool {
	for ; len(b) > head; b = b[1:] {
		n := int(binary.LittleEndian.Uint16(b))
		if n > 0 && head+n <= len(b) && checksum(b[:head+n]) == binary.LittleEndian.Uint32(b[2:]) {
			return true
		}
	}
	return false
}

// zone returns the zone with an offset from UTC.
func (s *scanner) zone(seconds int) *time.Location {
	if seconds == 0 {
		return time.UTC
	}
	z := s.zones[seconds]
	if z == nil {
		z = time.FixedZone("", seconds)
		s.zones[seconds] = z
	}
	return z
}
