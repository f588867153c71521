package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrHeld is returned by Hold where another monitor holds the file.
var ErrHeld = errors.New("another monitor holds it")

// LockSuffix is that of the lock file beside a file that is held.
const LockSuffix = ".lock"

// A Lock holds a file for this process.
type Lock struct {
	Path string   // of the file that is held, where links lead to
	File *os.File // the lock file
	Made bool     // whether Hold has made it
}

// Hold takes path for this process, with a lock file beside the file. The lock
// ends with the process; the lock file stays, because removing it would race.
// Who may not write it may not hold it either: flock(2) asks for no more than to
// read, so anybody could keep the monitor from starting.
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

// Stay takes the lock again where the lock file was removed, with its directory
// perhaps: in one that is there again, another monitor could hold the file. It
// makes no directory, for that may be where a disk belongs which is not mounted.
func (l *Lock) Stay() error {
	if isAt(l.File, l.Path+LockSuffix) {
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

// Close lets another monitor have the file.
func (l *Lock) Close() error { return l.File.Close() }

// isAt reports whether the file is what path names.
func isAt(f *os.File, path string) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(is, named)
}
