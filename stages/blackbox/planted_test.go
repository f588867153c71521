package blackbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/journald/records"
)

// plantOwner is a user without rights and without an entry in passwd(5).
const plantOwner = 54321

// TestPlanted has another user put things where root keeps its boxes, in a directory such as /tmp. Root must
// not touch what they lead to.
func TestPlanted(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can make files of other users
	}
	const unit = "a.service"
	for _, tt := range []struct {
		name  string
		plant func(shared, victim string) error // makes SHARED/chronicle
	}{
		{"a link in place of the boxes", func(shared, victim string) error {
			dir := filepath.Join(shared, "chronicle")
			return errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, plantOwner, plantOwner), plantLink(victim, filepath.Join(dir, "crashes")))
		}},
		{"a link in place of the chronicle", func(shared, victim string) error {
			return plantLink(filepath.Dir(victim), filepath.Join(shared, "chronicle"))
		}},
		{"a chronicle that is not root's", func(shared, _ string) error {
			dir := filepath.Join(shared, "chronicle")
			return errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, plantOwner, plantOwner))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shared, victim := t.TempDir(), filepath.Join(t.TempDir(), "crashes")
			for _, err := range []error{os.Chmod(shared, 0o777|fs.ModeSticky), os.Mkdir(victim, 0o755), tt.plant(shared, victim)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{unit, making, "b.service"} {
				// Together they are larger than the room.
				if err := os.WriteFile(filepath.Join(victim, name), []byte(strings.Repeat(" ", largest-1)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := listing(t, victim)
			dir := Beside(filepath.Join(shared, "chronicle"))
			if has(dir, &count.Crash{Time: time.Now().Add(-time.Hour)}, unit) {
				t.Error("root has a box there")
			}
			if err := save(dir, Box{Unit: unit, Invocation: "1", Lines: []records.Line{{Text: "new"}}}, nil); !errors.Is(err, files.ErrOwner) {
				t.Errorf("save: %v, want %v", err, files.ErrOwner)
			}
			if err := Remove(dir); !errors.Is(err, files.ErrOwner) {
				t.Errorf("Remove: %v, want %v", err, files.ErrOwner)
			}
			expect(t, "the victim", listing(t, victim), before)
			expect(t, "the planted chronicle", listing(t, shared), []string{"chronicle"})
		})
	}
}

// Files that are no boxes do not count, and stay.
func TestRoomSparesOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"notes", "old.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, room), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range []string{"a.service", "b.service"} {
		if err := save(dir, Box{Unit: unit, Lines: []records.Line{{Text: "x"}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "files", listing(t, dir), []string{"a.service", "b.service", "notes", "old.json"})
}

func plantLink(target, path string) error {
	return errors.Join(os.Symlink(target, path), os.Lchown(path, plantOwner, plantOwner))
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
