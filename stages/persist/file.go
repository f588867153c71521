package persist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/count"
)

// A File is the state file, a JSON object keyed by unit.
type File struct {
	path string
	lock *os.File
}

// Suffixes of the files beside the state file.
const (
	tempSuffix     = ".tmp"            // the next generation, while it is written
	previousSuffix = ".previous"       // the generation before
	removedSuffix  = ".before-removal" // the last generation with units that are no longer monitored
	removals       = 5                 // so many of them, the older ones with .1 to .4 at the end
	corruptSuffix  = ".corrupt-"       // a damaged file, followed by the time it was found
	lockSuffix     = ".lock"
)

// Load reads the state file. A damaged one is kept aside, and the generation
// before takes its place, as it does where the file is missing; then damage says
// what happened, for people. Where neither was ever saved, the state is empty.
func (f *File) Load() (units map[string]count.Tally, damage, err error) {
	units, err = Read(f.path)
	if !errors.As(err, new(*lostError)) {
		return units, nil, err
	}
	damage, err = setAside(f.path, err)
	if err != nil {
		return nil, nil, err
	}
	units, damage = f.loadPrevious(damage)
	return units, damage, nil
}

// loadPrevious loads the generation before the one that is lost, and adds to
// damage what came of it.
func (f *File) loadPrevious(damage error) (map[string]count.Tally, error) {
	previous := f.path + previousSuffix
	units, err := Read(previous)
	if err == nil {
		// Where this fails the file is missing at the next start, which leads here.
		alias(previous, f.path)
		return units, fmt.Errorf("%w; continuing from the generation before, %s, with %d services", damage, previous, len(units))
	}
	units = map[string]count.Tally{}
	if errors.Is(damage, fs.ErrNotExist) && errors.Is(err, fs.ErrNotExist) {
		return units, nil
	}
	told, _ := setAside(previous, err)
	return units, fmt.Errorf("%w; %w; counting from zero", damage, told)
}

// setAside keeps a damaged file for people to look at, and adds to damage where.
func setAside(path string, damage error) (told, err error) {
	if errors.Is(damage, fs.ErrNotExist) {
		return damage, nil
	}
	aside := path + corruptSuffix + time.Now().Format("20060102-150405.000")
	if err := os.Rename(path, aside); err != nil {
		return damage, fmt.Errorf("%w; cannot keep it aside: %w", damage, err)
	}
	return fmt.Errorf("%w; kept as %s", damage, aside), nil
}

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

// Read reads a state file, which may be another monitor's: it is whole at any
// time, so this needs no lock.
func Read(path string) (map[string]count.Tally, error) {
	b, err := os.ReadFile(path)
	isErr := func(target error) bool { return errors.Is(err, target) }
	switch {
	case isErr(fs.ErrNotExist) || slices.ContainsFunc(unreadable, isErr):
		return nil, &lostError{path, err}
	case err != nil:
		return nil, fmt.Errorf("cannot read state: %w", err)
	}
	units, err := parse(b)
	if err != nil {
		return nil, &lostError{path, err}
	}
	return units, nil
}

// Save makes units the content of the state file, so that after a crash or a
// power cut at any moment either the old or the new content is there, complete.
func (f *File) Save(units map[string]count.Tally) error {
	records := make(map[string]record, len(units))
	for unit, t := range units {
		records[unit] = newRecord(t)
	}
	b, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot save state: %w", err)
	}
	if err := f.replace(append(b, '\n')); err != nil {
		return fmt.Errorf("cannot save state: %w", err)
	}
	return nil
}

func (f *File) replace(b []byte) error {
	old, err := os.ReadFile(f.path)
	if err != nil || !bytes.Equal(old, b) { // flash wears
		temp := f.path + tempSuffix
		defer os.Remove(temp)
		if err := write(temp, b); err != nil {
			return err
		}
		alias(f.path, f.path+previousSuffix) // if it can: the file itself is what must be safe
		if err := os.Rename(temp, f.path); err != nil {
			return err
		}
	}
	// Without this the rename may not survive a power cut: measured, 29 of 120.
	return syncDir(f.path)
}

// write writes a new file. What is left of an earlier attempt may be somebody
// else's, such as that of a monitor that root ran.
func write(path string, b []byte) error {
	os.Remove(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// alias makes to the same file as from, at once: another name for it, or a copy
// where there can be none (FAT, or a file of another user: proc_sys_fs(5),
// "protected_hardlinks").
func alias(from, to string) error {
	temp := to + tempSuffix
	defer os.Remove(temp)
	os.Remove(temp)
	if err := os.Link(from, temp); err != nil {
		b, err := os.ReadFile(from)
		if err == nil {
			err = write(temp, b)
		}
		if err != nil {
			return err
		}
	}
	return os.Rename(temp, to)
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

// ErrHeld is returned by Hold where another monitor holds the file.
var ErrHeld = errors.New("another monitor holds it")

// Hold takes path for this process, with a lock file beside the file. The lock
// ends with the process; the lock file stays, because removing it would race.
// Who may not write it may not hold it either: flock(2) asks for no more than to
// read, so anybody could keep the monitor from starting.
func Hold(path string) (*os.File, error) {
	name := follow(path) + lockSuffix
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	Give(lock)
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lock, nil
}

// Give gives a file that root has made, by --clear or by running the monitor by
// hand, to the owner of its directory, who runs it otherwise. Nobody else can
// give files away, and nobody else need.
func Give(f *os.File) {
	var st unix.Stat_t
	if unix.Stat(filepath.Dir(f.Name()), &st) == nil {
		f.Chown(int(st.Uid), int(st.Gid))
	}
}

// Open takes the state file at path, which need not be there yet.
func Open(path string) (*File, error) {
	lock, err := Hold(path)
	if err != nil {
		return nil, err
	}
	return &File{follow(path), lock}, nil
}

// maxLinks bounds follow as the kernel bounds it (path_resolution(7)).
const maxLinks = 40

// follow returns the file that a symbolic link leads to, there or not yet. To
// rename over the link would leave the data on the disk that people linked away
// from, and the next boot would find the old counters where they linked to.
func follow(path string) string {
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				break
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return path
}

// Close lets another monitor have the file.
func (f *File) Close() error { return f.lock.Close() }

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
	return errors.Join(errs...)
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
