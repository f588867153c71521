package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// newLog returns a log file, prepared as at the start of the monitor.
func newLog(t *testing.T, path string) *File {
	t.Helper()
	if _, err := prepare(path, newMode); err != nil {
		t.Fatal(err)
	}
	l := New(path, nil)
	t.Cleanup(func() {
		if l.rotate != nil {
			l.rotate.Close()
		}
	})
	return l
}

func logPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "service-monitor.log")
}

func (l *File) put(t *testing.T, text string) {
	t.Helper()
	if n, err := l.Write([]byte(text)); err != nil || n != len(text) {
		t.Fatalf("Write: %d of %d, %v", n, len(text), err)
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func backupsOf(t *testing.T, path string) []string {
	t.Helper()
	all, err := filepath.Glob(strings.TrimSuffix(path, ".log") + "-*.log")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// BenchmarkLog writes the lines of a service that crashes.
func BenchmarkLog(b *testing.B) {
	path := filepath.Join(b.TempDir(), "service-monitor.log")
	l := New(path, nil)
	text := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 2))
	for b.Loop() {
		if _, err := l.Write(text); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLogIsFoundAgain wants the log to go on in a file at its path, whatever people do with
// the file.
func TestLogIsFoundAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(path string) error
		want string
	}{
		{"nothing", func(string) error { return nil }, "one\ntwo\n"},
		{"deleted", os.Remove, "two\n"},
		{"moved", func(path string) error { return os.Rename(path, path+".1") }, "two\n"},
		{"moved, and made anew", func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("by logrotate\n"), 0o644))
		}, "by logrotate\ntwo\n"},
		{"truncated", func(path string) error { return os.Truncate(path, 0) }, "two\n"},
		{"replaced by an editor", func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte("edited"), 0o644), os.Rename(path+"~", path))
		}, "edited\ntwo\n"},
		{"appended to", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("mine\n")
			return err
		}, "one\nmine\ntwo\n"},
	} {
		for _, rotated := range []bool{false, true} { // after a rotation lumberjack opens the file in another way
			t.Run(fmt.Sprint(tt.name, ", rotated ", rotated), func(t *testing.T) {
				path := logPath(t)
				if rotated {
					if err := os.WriteFile(path, bytes.Repeat([]byte("\n"), megabytes<<20), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				l := newLog(t, path)
				l.put(t, "one\n")
				if err := tt.do(path); err != nil {
					t.Fatal(err)
				}
				l.put(t, "two\n")
				wantText(t, path, tt.want)
				if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
					t.Errorf("mode %v (%v)", info.Mode(), err)
				}
			})
		}
	}
}

// TestLogLink wants a link to another disk to stay a link, also after a rotation.
func TestLogLink(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	path, leads := filepath.Join(dir, "service-monitor.log"), filepath.Join(data, "monitor.log")
	if err := os.Symlink("data/monitor.log", path); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, path)
	most := strings.Repeat("x", 1<<19) + "\n" // two of them do not fit into a file
	for range 2 {
		l.put(t, most)
	}
	wantText(t, leads, most)
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v (%v)", info.Mode(), err)
	}
	if got := backupsOf(t, leads); len(got) != 1 {
		t.Errorf("backups %v, want one beside the file", got)
	}
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("what Remove leaves: %v (%v)", left, err)
	}
	if err := os.Remove(path); err != nil { // from now on it is not a link any more
		t.Fatal(err)
	}
	l.put(t, "here\n")
	wantText(t, path, "here\n")
}

func TestLogRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"directory", func(path string) error { return os.Mkdir(path, 0o755) }, "open PATH: it is a directory, not a regular file"},
		{"pipe", func(path string) error { return unix.Mkfifo(path, 0o644) }, "open PATH: it is a named pipe, not a regular file"},
		{"link to a device", func(path string) error { return os.Symlink("/dev/null", path) }, "open /dev/null: it is a device, not a regular file"},
		{"link into nothing", func(path string) error { return os.Symlink("nothing/a.log", path) }, "open DIR/nothing/a.log: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("PATH", path, "DIR", filepath.Dir(path)).Replace(tt.want)
			if _, err := prepare(path, newMode); err == nil || err.Error() != want {
				t.Errorf("at the start: %v, want %s", err, want)
			}
			// The same if it takes the place of the log file later.
			os.Remove(path)
			l := newLog(t, path)
			l.put(t, "one\n")
			os.Remove(path)
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Write([]byte("two\n")); err == nil || err.Error() != want {
				t.Errorf("later: %v, want %s", err, want)
			}
			os.Remove(path)
			l.put(t, "three\n")
			wantText(t, path, "three\n")
		})
	}
}
