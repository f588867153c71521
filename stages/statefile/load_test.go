package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

func TestLoadNothing(t *testing.T) {
	f := newFile(t)
	if _, _, err := Read(f.path); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("Read: %v, want that there is no file", err)
	}
	if units := loaded(t, f); units == nil || len(units) > 0 {
		t.Errorf("loaded %v, want an empty state", units)
	}
}

// TestLoadGone wants a missing state file to be reported only if a state was ever saved.
func TestLoadGone(t *testing.T) {
	gone := func(t *testing.T, f *File) {
		for _, path := range []string{f.path, f.path + previousSuffix} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, f *File)
		want bool
	}{
		{"first start", func(*testing.T, *File) {}, false},
		{"saved", func(t *testing.T, f *File) { save(t, f, 1); gone(t, f) }, true},
		{"saved twice", func(t *testing.T, f *File) { save(t, f, 1); save(t, f, 2); gone(t, f) }, true},
		{"loaded, as one that was taken over", func(t *testing.T, f *File) {
			put(t, f.path, text(t, 1))
			loaded(t, f)
			gone(t, f)
		}, true},
		{"by a monitor that made no mark", func(t *testing.T, f *File) { put(t, f.path+files.LockSuffix, "") }, true},
		{"cleared", func(t *testing.T, f *File) {
			save(t, f, 1)
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"cleared and saved", func(t *testing.T, f *File) {
			save(t, f, 1)
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
			save(t, f, 2)
			gone(t, f)
		}, true},
		{"never saved, and the lock lost", func(t *testing.T, f *File) {
			os.Remove(f.path + files.LockSuffix)
			if err := f.Lost(); err != nil {
				t.Errorf("Lost: %v", err)
			}
		}, false},
		{"with its lock", func(t *testing.T, f *File) { save(t, f, 1); gone(t, f); os.Remove(f.path + files.LockSuffix) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			tt.do(t, f)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 { // killed before the first save
				f := open(t, f.path)
				units, notes, err := f.Load()
				if err != nil || f.Gone() != tt.want || strings.Contains(notes.Error(), ErrGone.Error()) != tt.want || len(units) > 0 {
					t.Errorf("Load: %d units, %v, error %v; gone: %v, want %v", len(units), notes, err, f.Gone(), tt.want)
				}
				f.Close()
			}
		})
	}
}

// TestLoadKinds puts something else than a regular file in the place of the state file or
// of the generation before. Load refuses it at once and leaves it as it is.
func TestLoadKinds(t *testing.T) {
	kinds := map[string]func(path string) error{
		"a directory":     func(path string) error { return os.Mkdir(path, 0o755) },
		"a named pipe":    func(path string) error { return unix.Mkfifo(path, 0o644) },
		"a socket":        func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o644, 0) },
		"a symbolic link": func(path string) error { return os.Symlink("/dev/zero", path) },
	}
	for name, kind := range kinds {
		for _, suffix := range []string{"", previousSuffix} {
			t.Run(name+suffix, func(t *testing.T) {
				f := newFile(t)
				if err := kind(f.path + suffix); err != nil {
					t.Fatal(err)
				}
				_, _, err := f.Load()
				if !errors.Is(err, files.ErrKind) || !strings.Contains(err.Error(), "it is "+name) {
					t.Errorf("Load: %v, want that it is %s", err, name)
				}
				if left, err := filepath.Glob(f.path + "*"); err != nil || len(left) != 2 {
					t.Errorf("files %v (%v), want it and the lock", left, err)
				}
			})
		}
	}
}

// TestLoadForbidden wants an error if the monitor may not read the file: it is not damaged,
// and somebody must correct its permissions.
func TestLoadForbidden(t *testing.T) {
	f := newFile(t)
	if err := os.WriteFile(f.path, []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	unprivileged(t, f.path, func() {
		if _, damage, err := f.Load(); damage != nil || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Load: damage %v, error %v, want permission denied", damage, err)
		}
	})
}

func TestLoadDirectory(t *testing.T) {
	f := newFile(t)
	if err := os.Mkdir(f.path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, damage, err := f.Load(); damage != nil || !errors.Is(err, files.ErrKind) {
		t.Errorf("Load: damage %v, error %v, want %v", damage, err, files.ErrKind)
	}
}
