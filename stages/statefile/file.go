// Package statefile is the state file and the files beside it: how it is saved, so that it
// is whole at any time, and how it is loaded, whatever has become of it.
package statefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile/format"
)

// A File is the state file, a JSON object keyed by unit.
type File struct {
	path  string
	lock  *files.Lock
	blank bool // nothing was ever saved, or it was cleared
	gone  bool // something was, and it was not there when it was to be loaded
}

// Suffixes of the files beside the state file.
const (
	tempSuffix     = ".tmp"            // the next generation, while it is written
	previousSuffix = ".previous"       // the generation before
	removedSuffix  = ".before-removal" // the last generation with units that are no longer monitored
	removals       = 5                 // so many of them, the older ones with .1 to .4 at the end
	corruptSuffix  = ".corrupt-"       // a damaged file, followed by the time it was found
)

// ErrGone is what is said where a monitor has saved its state and nothing of it is
// there any more. Clearing it is no damage.
var ErrGone = errors.New("the state file is gone")

// A lostError is that of a file that is missing or cannot be understood.
type lostError struct {
	path string
	err  error
}

func (e *lostError) Error() string {
	if errors.Is(e.err, fs.ErrNotExist) {
		return fmt.Sprintf("there is no state file %s", e.path)
	}
	return fmt.Sprintf("state file %s is damaged: %v", e.path, e.err)
}

func (e *lostError) Unwrap() error { return e.err }

// ErrDamaged is what Read returns of a file that is there, but no state file.
var ErrDamaged = errors.New("damaged")

func (e *lostError) Is(target error) bool {
	return target == ErrDamaged && !errors.Is(e.err, fs.ErrNotExist)
}

// unreadable are the errors of a file whose blocks went bad: that is damage,
// unlike a lack of permission or of memory.
var unreadable = []error{unix.EIO, unix.EUCLEAN, unix.EBADMSG}

// readContent reads a state file, which may be another monitor's: it is whole at any
// time, so this needs no lock.
func readContent(path string) (*format.Content, error) {
	most := largest()
	b, err := files.Read(path, most)
	if err == nil {
		err = loadable(b, most)
	}
	isErr := func(target error) bool { return errors.Is(err, target) }
	switch {
	case isErr(fs.ErrNotExist) || isErr(files.ErrTooLarge) || slices.ContainsFunc(unreadable, isErr):
		return nil, &lostError{path, err}
	case err != nil:
		return nil, fmt.Errorf("cannot read state: %w", err)
	}
	c := format.Parse(b)
	if c.Newer > 0 {
		return nil, &newerError{path, c.Newer}
	}
	return c, nil
}

// Save makes units the content of the state file, so that after a crash or a
// power cut at any moment either the old or the new content is there, complete.
func (f *File) Save(units map[string]*count.Tally) error {
	err := f.stay()
	if err == nil {
		err = f.replace(units, true)
	}
	if err != nil {
		return fmt.Errorf("cannot save state: %w", files.Explain(err, filepath.Dir(f.path)))
	}
	f.filled()
	return nil
}

// filled notes that there is a state. Were that to fail, nobody would be told when
// the state is gone, which is no reason not to save.
func (f *File) filled() {
	if f.blank {
		f.blank = setBlank(f.lock.File, false) != nil
	}
}

// stay holds the lock. One that was lost before anything was saved has its mark again.
func (f *File) stay() error {
	was := f.lock.File
	err := f.lock.Stay()
	if err == nil && f.lock.File != was && f.blank {
		err = setBlank(f.lock.File, true)
	}
	return err
}

// Lost reports whether what was saved is not there any more: an error that says
// what is missing. It takes the lock again where that is gone. Where another monitor
// was first, the next save says so.
func (f *File) Lost() error {
	_ = f.stay()
	if f.blank {
		return nil
	}
	_, err := os.Lstat(f.path)
	return err
}

// replace writes the file. The old one becomes the generation before, if it is to.
func (f *File) replace(units map[string]*count.Tally, keep bool) error {
	r := revision{temp: f.path + tempSuffix}
	r.old, _ = files.Open(f.path, os.O_RDONLY, 0)
	defer r.close()
	err := format.Encode(&r, units)
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return err
	}
	if r.new != nil {
		if keep && r.old != nil {
			alias(f.path, f.path+previousSuffix) // if it can: the file itself is what must be safe
		}
		if err := os.Rename(r.temp, f.path); err != nil {
			return err
		}
	}
	// Without this the rename may not survive a power cut: measured, 29 of 120.
	return syncDir(f.path)
}

// A revision is the content of the state file, as it is written. Flash wears: as
// long as it is what the old file has, there is no new one.
type revision struct {
	old  *os.File // nil where there is none
	read []byte   // of it
	same int64    // how much is the same
	temp string   // name of the new file
	new  *os.File // nil where there is none yet
}

func (r *revision) Write(b []byte) (int, error) {
	if r.new == nil {
		if r.oldHas(b) {
			r.same += int64(len(b))
			return len(b), nil
		}
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	return r.new.Write(b)
}

func (r *revision) oldHas(b []byte) bool {
	r.read = slices.Grow(r.read[:0], len(b))[:len(b)]
	n, _ := r.old.ReadAt(r.read, r.same)
	return n == len(b) && bytes.Equal(r.read, b)
}

// begin begins the new file, with what it has in common with the old one.
func (r *revision) begin() (err error) {
	if r.new, err = create(r.temp); err == nil && r.same > 0 {
		err = copyTo(r.new, io.NewSectionReader(r.old, 0, r.same))
	}
	return err
}

// end ends the content, on the disk.
func (r *revision) end() error {
	if r.new == nil {
		var more [1]byte
		if n, err := r.old.ReadAt(more[:], r.same); n == 0 && err == io.EOF {
			return nil
		}
		if err := r.begin(); err != nil {
			return err
		}
	}
	return r.new.Sync()
}

// close closes the files, and removes the new one where it has not become the
// state file.
func (r *revision) close() {
	r.old.Close()
	if r.new != nil {
		r.new.Close()
		os.Remove(r.temp)
	}
}

// create makes a new file. What is left of an earlier attempt may be somebody
// else's, such as that of a monitor that root ran.
func create(path string) (*os.File, error) {
	os.Remove(path)
	return files.Open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// copyTo copies by read(2) and write(2): os.File would use copy_file_range(2),
// which some sandboxes and file systems refuse.
func copyTo(w io.Writer, r io.Reader) error {
	_, err := io.Copy(struct{ io.Writer }{w}, r)
	return err
}

// alias makes to the same file as from, at once: another name for it, or a copy
// where there can be none (FAT, or a file of another user: proc_sys_fs(5),
// "protected_hardlinks").
func alias(from, to string) error {
	temp := to + tempSuffix
	defer os.Remove(temp)
	os.Remove(temp)
	if os.Link(from, temp) != nil {
		if err := copyFile(from, temp); err != nil {
			return err
		}
	}
	return os.Rename(temp, to)
}

// copyFile makes a new file, on the disk.
func copyFile(from, to string) error {
	old, err := files.Open(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	f, err := create(to)
	if err != nil {
		return err
	}
	err = copyTo(f, old)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a file's directory durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Open takes the state file at path, which need not be there yet.
func Open(path string) (*File, error) {
	lock, err := files.Hold(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: lock.Path, lock: lock, blank: lock.Made || isBlank(lock.File)}
	if lock.Made {
		err = setBlank(lock.File, true)
	}
	return f, err
}

// Close lets another monitor have the file.
func (f *File) Close() error { return f.lock.Close() }

// blankMark is in the lock file until a state is saved. Later the file is empty, so
// that a state which is missing then is known to be lost.
const blankMark = "no state was saved here yet\n"

// isBlank reports whether the lock file has the mark.
func isBlank(lock *os.File) bool {
	info, err := lock.Stat()
	return err == nil && info.Size() > 0
}

// setBlank sets the mark, or removes it. It is on the disk before a later save is.
func setBlank(lock *os.File, blank bool) error {
	err := lock.Truncate(0)
	if err == nil && blank {
		_, err = lock.WriteAt([]byte(blankMark), 0)
	}
	return errors.Join(err, lock.Sync())
}

// Remove removes the state file and what Save keeps beside it. Damaged files
// that were kept aside stay: they are somebody's to look at.
func (f *File) Remove() error {
	var errs []error
	for _, path := range append(f.removed(), f.path, f.path+previousSuffix) {
		for _, path := range []string{path, path + tempSuffix} {
			if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	f.blank = true
	return setBlank(f.lock.File, true)
}

// KeepRemoved keeps a copy of the state file from before units are removed, and
// the copies from before earlier removals: whoever corrects a typo in the list of
// services removes what the typo put there, and wants what was there before it.
func (f *File) KeepRemoved() error {
	copies := f.removed()
	for i := len(copies) - 1; i > 0; i-- {
		if err := os.Rename(copies[i-1], copies[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot keep an older copy of the state: %w", err)
		}
	}
	if err := alias(f.path, copies[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot keep a copy of the state: %w", err)
	}
	return nil
}

// removed are the names of the copies from before removals, the newest first.
func (f *File) removed() []string {
	names := make([]string, removals)
	for i := range names {
		names[i] = f.path + removedSuffix
		if i > 0 {
			names[i] += "." + strconv.Itoa(i)
		}
	}
	return names
}
