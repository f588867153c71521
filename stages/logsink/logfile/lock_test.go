package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"service-monitor/stages/files"
)

// TestWriteHolds wants two monitors never to write one file. If the lock file is gone, or its
// directory, a write takes the lock again first. It fails if another monitor has taken it.
func TestWriteHolds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "a.log")
	again := func(do func() error) func() error {
		return func() error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return errors.Join(os.Mkdir(dir, 0o755), do())
		}
	}
	other := func() error {
		lock, err := files.Hold(path)
		if err == nil {
			t.Cleanup(func() { lock.Close() })
		}
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := files.Hold(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	l := New(path, lock)
	for _, s := range []struct {
		name string
		do   func() error
		want error
	}{
		{"held", func() error { return nil }, nil},
		{"the lock is removed", func() error { return os.Remove(path + files.LockSuffix) }, nil},
		{"the directory is there again", again(func() error { return nil }), nil},
		{"the directory is gone", func() error { return os.RemoveAll(dir) }, fs.ErrNotExist},
		{"and held by another", again(other), files.ErrHeld},
	} {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if n, err := l.Write([]byte("a\n")); !errors.Is(err, s.want) || (n > 0) != (s.want == nil) {
			t.Errorf("%s: Write: %d, %v, want %v", s.name, n, err, s.want)
		}
		if s.want == nil {
			if err := other(); !errors.Is(err, files.ErrHeld) {
				t.Errorf("%s: another monitor takes the file: %v, want %v", s.name, err, files.ErrHeld)
			}
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that another monitor holds was written: %v", err)
	}
}
