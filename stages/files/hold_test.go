package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func held(t *testing.T, path string) *Lock {
	t.Helper()
	lock, err := Hold(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	return lock
}

// TestHold wants only one process at a time to hold a file, under whatever name. No other
// user may open the lock file, because that user could keep the monitor from starting.
func TestHold(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	lock := held(t, link)
	if lock.Path != path || !lock.Made {
		t.Errorf("holds %s, made %v, want %s and a new lock file", lock.Path, lock.Made, path)
	}
	if info, err := os.Stat(path + LockSuffix); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v (%v), want nobody else to hold it", info.Mode(), err)
	}
	for _, name := range []string{path, link} {
		if _, err := Hold(name); !errors.Is(err, ErrHeld) || err.Error() != path+": another monitor holds it" {
			t.Errorf("Hold(%s): %v, want %v", name, err, ErrHeld)
		}
	}
	lock.Close()
	if held(t, path).Made {
		t.Error("the lock file was made again, want it to stay")
	}
}

// TestLockStays removes the lock file. Stay takes the lock again, unless another process has
// taken it first. It makes no directory.
func TestLockStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	lock := held(t, path)
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"untouched", func() error { return nil }, nil},
		{"removed", func() error { return os.Remove(path + LockSuffix) }, nil},
		{"removed with its directory", func() error { return os.RemoveAll(dir) }, fs.ErrNotExist},
		{"and made by somebody who is gone", func() error {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			return os.WriteFile(path+LockSuffix, nil, 0o600)
		}, nil},
		{"taken by another", func() error {
			if err := os.Remove(path + LockSuffix); err != nil {
				return err
			}
			held(t, path)
			return nil
		}, ErrHeld},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		if err := lock.Stay(); !errors.Is(err, s.want) {
			t.Errorf("%s: Stay: %v, want %v", s.name, err, s.want)
		}
		if s.want == nil && !IsAt(lock.File, path+LockSuffix) {
			t.Errorf("%s: the lock is not the file that is there", s.name)
		}
	}
}
