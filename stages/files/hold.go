package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrHeld is returned by Hold if another monitor holds the file.
var ErrHeld = errors.New("another monitor holds it")

// LockSuffix is the suffix of the lock file beside a file.
const LockSuffix = ".lock"

// A Lock holds a file for this process.
type Lock struct {
	Path string   // the real path of the file that is held
	File *os.File // the lock file
	Made bool     // Hold has made the lock file
}

// Hold locks the file at path for this process, with a lock file beside the file. The lock
// ends with the process. The lock file stays, because removing it would be a race. Only
// its owner may open the lock file: for flock(2) it is enough to open a file for reading,
// so otherwise anybody could keep the monitor from starting.
func Hold(path string) (*Lock, error) {
	real, err := Follow(path)
	if err != nil {
		return nil, err
	}
	return hold(real)
}

func hold(path string) (*Lock, error) {
	name := path + LockSuffix
	f, err := Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = Open(name, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Lock{path, f, made}, nil
}

// Held reports whether a process holds the file at path. To find out, it holds the lock itself for a moment.
func Held(path string) bool {
	real, err := Follow(path)
	if err != nil {
		return false
	}
	f, err := Open(real+LockSuffix, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Stay takes the lock again if the lock file or its directory was removed. Otherwise another
// monitor could hold a new file at the same path. Stay does not make the directory, because
// it may be the mount point of a disk that is not mounted.
func (l *Lock) Stay() error {
	if IsAt(l.File, l.Path+LockSuffix) {
		return nil
	}
	again, err := hold(l.Path)
	if err != nil {
		return err
	}
	l.File.Close()
	l.File = again.File
	return nil
}

// Close releases the lock, so that another monitor can have the file.
func (l *Lock) Close() error { return l.File.Close() }

// IsAt reports whether the open file is still the one at path.
func IsAt(f *os.File, path string) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(is, named)
}
