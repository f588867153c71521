package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKeepRemovedBefore removes units again and again. The copy from before the first
// removal stays: whoever corrects a typo removes units once more.
func TestKeepRemovedBefore(t *testing.T) {
	f := newFile(t)
	for n := range uint64(removals + 2) {
		save(t, f, n+1)
		if err := f.KeepRemoved(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"service_states.json", "service_states.json.before-removal"}
	for i := range removals {
		path := f.path + removedSuffix
		if i > 0 {
			path += fmt.Sprintf(".%d", i)
			want = append(want, filepath.Base(path))
		}
		if diff := cmp.Diff(text(t, uint64(removals+2-i)), read(t, path)); diff != "" {
			t.Errorf("copy %d (-want +got):\n%s", i, diff)
		}
	}
	want = append(want, "service_states.json.previous")
	if diff := cmp.Diff(want, beside(t, f.path)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if left := beside(t, f.path); len(left) != 0 {
		t.Errorf("Remove left %q", left)
	}
}

func TestKeepRemoved(t *testing.T) {
	f := newFile(t)
	if err := f.KeepRemoved(); err != nil {
		t.Errorf("KeepRemoved with nothing saved: %v", err)
	}
	save(t, f, 1)
	if err := f.KeepRemoved(); err != nil {
		t.Fatal(err)
	}
	save(t, f, 2)
	if diff := cmp.Diff(text(t, 1), read(t, f.path+removedSuffix)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
	unprivileged(t, f.path, func() {
		if err := f.KeepRemoved(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("KeepRemoved: %v, want %v", err, fs.ErrPermission)
		}
	})
}

func TestRemove(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	save(t, f, 2)
	f.KeepRemoved()
	others := []string{"other.json", "service_states.json.bak", "service_states.json.corrupt-20250707-101523.000"}
	for _, name := range append([]string{"service_states.json.tmp", "service_states.json.previous.tmp"}, others...) {
		put(t, filepath.Join(filepath.Dir(f.path), name), "x")
	}
	for range 2 { // the second time there is nothing to remove
		if err := f.Remove(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(others, beside(t, f.path)); diff != "" {
			t.Errorf("files that are left (-want +got):\n%s", diff)
		}
	}
}
