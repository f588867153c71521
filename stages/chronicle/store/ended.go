package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"service-monitor/stages/files"
)

// endMark is a file in the directory of a store. It says that the records end before the present: a monitor without a
// history has counted since. Many readers do not know the configuration of the monitor, so a file has to tell them.
const endMark = "ended"

// End marks a store as ended, if there is one. Its records stay, but Read finds none. The next Append to it removes
// the mark.
func End(dir string) error {
	names, err := segments(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 || Ended(dir) {
		return nil
	}
	if err != nil {
		return err
	}
	lock, err := holdStore(dir) // a monitor that writes it would not see the mark
	if err != nil {
		return err
	}
	defer lock.Close()
	f, err := files.Open(filepath.Join(dir, endMark), os.O_WRONLY|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(dir))
}

// Ended reports whether a store is marked as ended.
func Ended(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, endMark))
	return err == nil
}

// resumed removes the mark before the first record, so that no reader takes the old end for the present one.
func (s *Store) resumed() error {
	if !s.ended {
		return nil
	}
	if err := os.Remove(filepath.Join(s.dir, endMark)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.ended = false
	return syncDir(s.dir)
}

// holdStore locks a store. InUse holds the lock for a moment, too.
func holdStore(dir string) (*files.Lock, error) {
	lock, err := files.Hold(filepath.Join(dir, held))
	for range 20 {
		if !errors.Is(err, files.ErrHeld) {
			break
		}
		time.Sleep(5 * time.Millisecond)
		lock, err = files.Hold(filepath.Join(dir, held))
	}
	return lock, err
}
