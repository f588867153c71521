package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// touchAll makes files. A name that ends in a slash makes a directory.
func touchAll(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemoveLog wants the log file and its backups to be removed, and no other files.
func TestRemoveLog(t *testing.T) {
	const stamp = "2025-07-07T10-15-23.000"
	for _, tt := range []struct {
		name   string
		log    string
		gone   []string
		others []string
	}{
		{"default", "service-monitor.log", []string{"service-monitor-" + stamp + ".log", "service-monitor-1970-01-01T00-00-12.345.log"}, []string{
			"service-monitor-2025.log", "service-monitor-" + stamp + ".log.gz", "service-monitor-" + stamp, "service-monitor-" + stamp + ".txt",
			"service-monitor-" + stamp + "-x.log", "service-monitor-2025-13-07T10-15-23.000.log", "service-monitor-.log", "service-monitor-old.log",
			"service-monitor.log.1", "service-monitor.log.lock", "service-monitor2-" + stamp + ".log", "my-service-monitor-" + stamp + ".log", "x.log",
			"service-monitor-" + strings.Replace(stamp, "07", "08", 1) + ".log/",
		}},
		{"no extension", "monitor", []string{"monitor-" + stamp}, []string{"monitor-" + stamp + ".log", "monitor-old"}},
		{"two dots", "a.b.log", []string{"a.b-" + stamp + ".log"}, []string{"a-" + stamp + ".b.log", "a.b.log-" + stamp}},
		{"nothing to remove", "a.log", nil, []string{"b.log"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			touchAll(t, dir, tt.gone...)
			touchAll(t, dir, tt.others...)
			if tt.gone != nil {
				touchAll(t, dir, tt.log)
			}
			for range 2 {
				if err := Remove(filepath.Join(dir, tt.log)); err != nil {
					t.Fatal(err)
				}
			}
			left := make(map[string]bool)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				left[e.Name()] = true
			}
			want := make(map[string]bool)
			for _, name := range tt.others {
				want[strings.TrimSuffix(name, "/")] = true
			}
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("files that are left (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRemoveLogAfterRotation wants Remove to remove what a rotation has made.
func TestRemoveLogAfterRotation(t *testing.T) {
	path := logPath(t)
	l := newLog(t, path)
	most := strings.Repeat("x", 1<<19) + "\n" // two of them do not fit into a file
	for range 2 {
		l.put(t, most)
	}
	if got := len(backupsOf(t, path)); got != 1 {
		t.Errorf("%d backups, want 1", got)
	}
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) > 0 {
		t.Errorf("left: %v (%v)", entries, err)
	}
}

func TestRemoveLogNowhere(t *testing.T) {
	if err := Remove(filepath.Join(t.TempDir(), "nothing", "a.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove: %v, want %v", err, fs.ErrNotExist)
	}
}
