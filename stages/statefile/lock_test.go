package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"service-monitor/stages/files"
)

func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	f := open(t, path)
	_, err := Open(path)
	if want := path + ": another monitor holds it"; !errors.Is(err, files.ErrHeld) || err.Error() != want {
		t.Errorf("Open: %v, want %s", err, want)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestHoldMode wants nobody but the monitor's user to be able to lock the file: another
// user could keep the monitor from starting.
func TestHoldMode(t *testing.T) {
	f := newFile(t)
	if info, err := os.Stat(f.path + files.LockSuffix); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v (%v), want nobody else to hold it", info.Mode(), err)
	}
}

func TestHoldUnwritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	unprivileged(t, path, func() {
		if _, err := Open(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Open: %v, want %v", err, fs.ErrPermission)
		}
	})
}

// TestLostHolds wants Lost to take the lock again if the lock file was removed.
func TestLostHolds(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	if err := os.Remove(f.path + files.LockSuffix); err != nil {
		t.Fatal(err)
	}
	if err := f.Lost(); err != nil {
		t.Errorf("Lost: %v", err)
	}
	if _, err := files.Hold(f.path); !errors.Is(err, files.ErrHeld) {
		t.Errorf("another monitor takes the state: %v, want %v", err, files.ErrHeld)
	}
}

// On a full disk, the first start of all makes no lock file that says later that a state is gone.
func TestNoRoomForTheMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	limitFiles(t, 10, func() {
		if f, err := Open(path); err == nil {
			f.Close()
			t.Fatal("there is room for the mark")
		}
	})
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, err := f.Load(); err != nil {
		t.Fatal(err)
	}
	if f.Gone() {
		t.Error("the state is gone, and there never was one")
	}
}
