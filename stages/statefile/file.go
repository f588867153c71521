// Package statefile saves and loads the state file and the files beside it. The state file
// is complete at any time, also while it is saved. A damaged file is loaded as far as
// possible.
package statefile

import (
	"errors"
	"fmt"
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
	blank bool // no state was saved here yet, or it was cleared
	gone  bool // a state was saved here, but Load found none

	written *files.Meter
}

// Meter has m count the bytes that are written into state files from now on.
func (f *File) Meter(m *files.Meter) { f.written = m }

// ErrGone means that a monitor has saved its state here, but neither the state file nor
// the generation before is there any more. A state that was cleared is not gone.
var ErrGone = errors.New("the state file is gone")

// A lostError means that a state file is missing or damaged.
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

// ErrDamaged is returned by Read for a file that exists but is not a state file.
var ErrDamaged = errors.New("damaged")

func (e *lostError) Is(target error) bool {
	return target == ErrDamaged && !errors.Is(e.err, fs.ErrNotExist)
}

// unreadable lists the errors of a file with bad blocks. They mean that the file is
// damaged. A lack of permission or memory does not.
var unreadable = []error{unix.EIO, unix.EUCLEAN, unix.EBADMSG}

// readContent reads a state file. It needs no lock, not even if another monitor uses the
// file, because the file is complete at any time.
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

// Save makes units the content of the state file. After a crash or a power cut at any
// moment, the file has either all of the old or all of the new content.
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

// filled notes that a state was saved here. If it fails, a state that is gone later is not
// reported. That is no reason to stop saving, so the error is ignored.
func (f *File) filled() {
	if f.blank {
		f.blank = setBlank(f.lock.File, false) != nil
	}
}

// stay takes the lock again if the lock file was removed. If no state was saved yet, the
// new lock file gets the blank mark again.
func (f *File) stay() error {
	was := f.lock.File
	err := f.lock.Stay()
	if err == nil && f.lock.File != was && f.blank {
		err = f.mark()
	}
	return err
}

// Lost returns an error if a state was saved and the file is not there any more. It also
// takes the lock again if the lock file is gone. If another monitor has taken it
// meanwhile, the next save returns that error.
func (f *File) Lost() error {
	_ = f.stay()
	if f.blank {
		return nil
	}
	_, err := os.Lstat(f.path)
	return err
}

// replace writes the file. If keep is true, the old file becomes the generation before.
func (f *File) replace(units map[string]*count.Tally, keep bool) error {
	r := revision{temp: f.path + tempSuffix, written: f.written}
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
			alias(f.path, f.path+previousSuffix) // an error does not matter: only the file itself must be safe
		}
		if err := os.Rename(r.temp, f.path); err != nil {
			return err
		}
	}
	// Without this the rename may not survive a power cut. It was lost in 29 of 120 cuts.
	return syncDir(f.path)
}

// alias makes the file from available under the name to as well, atomically. It makes a
// hard link, or a copy if there can be no link: on FAT, or to a file of another user
// (proc_sys_fs(5), "protected_hardlinks").
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

// copyFile copies a file, and returns when the copy is on the disk.
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

// syncDir writes the directory of a file to the disk, so that a rename survives a power cut.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Open locks the state file at path. The file need not exist yet.
func Open(path string) (*File, error) {
	lock, err := files.Hold(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: lock.Path, lock: lock, blank: lock.Made || isBlank(lock.File)}
	if lock.Made {
		err = f.mark()
	}
	return f, err
}

// mark gives the new lock file the blank mark. A lock file without it says that a state was saved here, and is
// gone. So if there is no room for the mark, there must be no lock file.
func (f *File) mark() error {
	err := setBlank(f.lock.File, true)
	if err != nil {
		err = errors.Join(err, os.Remove(f.lock.Path+files.LockSuffix))
	}
	return err
}

// Close releases the lock, so that another monitor can have the file.
func (f *File) Close() error { return f.lock.Close() }

// blankMark is the content of the lock file until a state is saved. After that the lock
// file is empty: if there is no state file then, the state is lost.
const blankMark = "no state was saved here yet\n"

// isBlank reports whether the lock file has the blank mark.
func isBlank(lock *os.File) bool {
	info, err := lock.Stat()
	return err == nil && info.Size() > 0
}

// setBlank writes or removes the blank mark. It syncs the lock file, so the mark is on the
// disk before any later save.
func setBlank(lock *os.File, blank bool) error {
	err := lock.Truncate(0)
	if err == nil && blank {
		_, err = lock.WriteAt([]byte(blankMark), 0)
	}
	return errors.Join(err, lock.Sync())
}

// Remove removes the state file, the generation before, and the copies from before
// removals. It leaves damaged files that were kept aside, because people may want to look
// at them.
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

// KeepRemoved keeps a copy of the state file before units are removed from it. Older copies
// stay as well: whoever corrects a typo in the list of services removes units once more,
// and the counts that are wanted back are in the copy from before the typo.
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

// removed returns the names of the copies from before removals, the newest first.
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
