package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

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
	lock, err := hold(dir) // a monitor that writes it would not see the mark
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

// resumed removes the mark once the first record is on the disk, so that no reader takes the old end for the present one.
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
