package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"service-monitor/stages/files"
)

// An ended store has all its records, but readers find none, until a record follows.
func TestEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chronicle")
	for range 2 {
		if err := End(dir); err != nil || Ended(dir) {
			t.Fatalf("nothing to end: %v", err)
		}
	}
	s, _, _ := mustOpen(t, dir, Smallest)
	mustAppend(t, s, records(5))
	if err := End(dir); !errors.Is(err, files.ErrHeld) || Ended(dir) {
		t.Errorf("while it is written: %v", err)
	}
	s.Close()
	for range 2 {
		if err := End(dir); err != nil || !Ended(dir) {
			t.Fatalf("ended %v, %v", Ended(dir), err)
		}
	}
	wantNone := func() {
		t.Helper()
		if _, err := Read(dir, func(*Record) bool { t.Error("a record"); return false }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read: %v, want that there is none", err)
		}
	}
	wantNone()
	for range 2 { // the first monitor is killed before it has written anything
		var had []Record
		s, had, _ = mustOpen(t, dir, Smallest)
		if len(had) != 5 {
			t.Errorf("%d records are left, want 5", len(had))
		}
		wantNone()
		s.Close()
	}
	s, _, _ = mustOpen(t, dir, Smallest)
	mustAppend(t, s, records(1))
	s.Close()
	if all, damages := mustRead(t, dir); len(all) != 6 || damages != nil || Ended(dir) {
		t.Errorf("%d records, want 6; %v, ended %v", len(all), damages, Ended(dir))
	}
	if err := errors.Join(End(dir), Remove(dir)); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}
