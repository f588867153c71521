package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

// ErrHeld is returned by Hold where another monitor holds the file.
var ErrHeld = errors.New("another monitor holds it")

// Hold takes path for this process, with a lock file beside the file. The lock
// ends with the process; the lock file stays, because removing it would race.
// Who may not write it may not hold it either: flock(2) asks for no more than to
// read, so anybody could keep the monitor from starting.
func Hold(path string) (*os.File, error) {
	real, err := files.Follow(path)
	if err != nil {
		return nil, err
	}
	lock, _, err := hold(real)
	return lock, err
}

// hold also reports whether it has made the lock file.
func hold(path string) (lock *os.File, made bool, err error) {
	name := path + lockSuffix
	lock, err = files.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	made = err == nil
	if errors.Is(err, fs.ErrExist) {
		lock, err = files.Open(name, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, false, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return lock, made, nil
}

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

// isAt reports whether the file is what path names.
func isAt(f *os.File, path string) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(is, named)
}
