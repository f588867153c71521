package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
	"service-monitor/stages/files/filestest"
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

// TestLogRotates writes five megabytes of lines. Each line is complete in one file, no file
// has more than a megabyte, the newest three backups stay, and everybody may read them. Two
// rotations within a millisecond would overwrite a backup, but not even this loop writes a
// megabyte so fast.
func TestLogRotates(t *testing.T) {
	path := logPath(t)
	l := newLog(t, path)
	var written files.Meter
	l.Meter(&written)
	const lines = 5 << 20 / 128
	line := func(i int) string { return fmt.Sprintf("%07d %s\n", i, strings.Repeat("x", 119)) }
	for i := range lines {
		l.put(t, line(i))
	}
	if n := written.Bytes(); n != lines*128 {
		t.Errorf("wrote %d bytes, want %d", n, lines*128)
	}
	await(func() bool { return len(backupsOf(t, path)) == 3 })
	next := lines
	all := append(backupsOf(t, path), path)
	for i := len(all) - 1; i >= 0; i-- {
		b, err := os.ReadFile(all[i])
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(all[i]); err != nil || info.Mode() != 0o644 || info.Size() > 1<<20 {
			t.Errorf("%s: mode %v, %d bytes (%v)", all[i], info.Mode(), info.Size(), err)
		}
		text := string(b)
		for ; text != ""; text = strings.TrimSuffix(text, line(next)) {
			if next--; !strings.HasSuffix(text, line(next)) {
				t.Fatalf("%s: line %d is not where it should be", all[i], next)
			}
		}
	}
	if want := lines - 3*(1<<20/128); next > want {
		t.Errorf("the first line that is left is %d, want at most %d", next, want)
	}
	if name := regexp.MustCompile(`/service-monitor-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$`); !name.MatchString(all[0]) {
		t.Errorf("a backup is named %s", all[0])
	}
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

// TestLogRotatesWhileTheClockIsBehind has a clock that is behind, so a new backup looks like
// the oldest. It is removed, but the file and the other backups stay.
func TestLogRotatesWhileTheClockIsBehind(t *testing.T) {
	path := logPath(t)
	for day := range backups {
		ahead := time.Date(2099, 1, 1+day, 0, 0, 0, 0, time.Local).Format(backupTime)
		if err := os.WriteFile(strings.TrimSuffix(path, ".log")+"-"+ahead+".log", []byte("old\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was := backupsOf(t, path)
	l := newLog(t, path)
	for range 1 << 20 / 128 {
		l.put(t, strings.Repeat("x", 127)+"\n")
	}
	l.put(t, "new\n")
	await(func() bool { return len(backupsOf(t, path)) == backups })
	if diff := cmp.Diff(was, backupsOf(t, path)); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}
	wantText(t, path, "new\n")
}

// await waits until lumberjack's goroutine has done its work, which it does not report.
func await(done func() bool) {
	for !done() {
		runtime.Gosched()
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

// TestLogAfterPowerCut wants the next line to begin a line, whatever a power cut has left of the last
// one: nothing, a part of it, or zeros.
func TestLogAfterPowerCut(t *testing.T) {
	for _, tt := range []struct{ name, left, want string }{
		{"whole lines", "one\ntwo\n", "one\ntwo\nthree\n"},
		{"a torn line", "one\ntw", "one\ntw\nthree\n"},
		{"zeros", "one\ntwo\n\x00\x00\x00", "one\ntwo\nthree\n"},
		{"a torn line and zeros", "one\ntw\x00\x00\x00", "one\ntw\nthree\n"},
		{"only zeros", strings.Repeat("\x00", 3000), "three\n"},
		{"a block of zeros", strings.Repeat("one\n", 4096) + strings.Repeat("\x00", 4095), strings.Repeat("one\n", 4096) + "three\n"},
		{"nothing", "", "three\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			if err := os.WriteFile(path, []byte(tt.left), 0o644); err != nil {
				t.Fatal(err)
			}
			newLog(t, path).put(t, "three\n")
			wantText(t, path, tt.want)
		})
	}
}

// TestLogFullDisk has a disk that takes only a part of a write. The whole lines stay, and
// Write returns how many bytes they have.
func TestLogFullDisk(t *testing.T) {
	if !filestest.Alone(t) {
		return
	}
	for _, tt := range []struct {
		name  string
		limit uint64 // how many bytes a file may have
		want  int
		text  string
	}{
		{"nothing fits", 4, 0, "one\n"},
		{"a part of a line", 6, 0, "one\n"},
		{"a line", 8, 4, "one\ntwo\n"},
		{"a line and a part", 11, 4, "one\ntwo\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			l := newLog(t, path)
			l.put(t, "one\n")
			text := []byte("two\nthree\n")
			n, err := limited(t, tt.limit, func() (int, error) { return l.Write(text) })
			if n != tt.want || !errors.Is(err, unix.EFBIG) {
				t.Errorf("Write: %d, %v, want %d and %v", n, err, tt.want, unix.EFBIG)
			}
			wantText(t, path, tt.text)
			l.put(t, string(text[n:]))
			wantText(t, path, "one\ntwo\nthree\n")
		})
	}
}

// limited calls write while files are limited to this many bytes.
func limited(t *testing.T, bytes uint64, write func() (int, error)) (int, error) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &was)
	return write()
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
