package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/files/filestest"
	"service-monitor/stages/statefile/format/formattest"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func newFile(t *testing.T) *File {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "service_states.json"))
}

// generation returns a state that holds its own number, so that a test recognizes it.
func generation(n uint64) map[string]*count.Tally {
	units := make(map[string]*count.Tally)
	for _, unit := range []string{"a.service", "b.service", `c\x2dd@1.service`} {
		units[unit] = &count.Tally{Unit: unit, State: "active", Starts: n}
	}
	return units
}

// text returns the content of the state file with generation(n).
func text(t *testing.T, n uint64) string {
	t.Helper()
	f := newFile(t)
	save(t, f, n)
	return read(t, f.path)
}

func save(t *testing.T, f *File, n uint64) {
	t.Helper()
	if err := f.Save(generation(n)); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// loaded loads a state file that must exist and be undamaged.
func loaded(t *testing.T, f *File) map[string]*count.Tally {
	t.Helper()
	units, damage, err := f.Load()
	if err != nil || damage != nil {
		t.Fatalf("Load: damage %v, error %v", damage, err)
	}
	return units
}

func same(t *testing.T, want, got map[string]*count.Tally) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("units (-want +got):\n%s", diff)
	}
}

// beside lists the directory of path without the lock file.
func beside(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), files.LockSuffix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// unprivileged calls f as another user, who may not write in the directory of path.
func unprivileged(t *testing.T, path string, f func()) {
	t.Helper()
	dir := filepath.Dir(path)
	if os.Geteuid() != 0 {
		os.Chmod(dir, 0o555)
		defer os.Chmod(dir, 0o755)
		f()
		return
	}
	os.Chmod(filepath.Dir(dir), 0o755) // the directory of all tests
	runtime.LockOSThread()             // setfsuid(2) changes only this thread
	defer runtime.UnlockOSThread()
	unix.Setfsuid(65534)
	defer unix.Setfsuid(0)
	f()
}

func TestSaveMode(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	info, err := os.Stat(f.path)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, want people to be able to read it (%v)", info.Mode(), err)
	}
}

func BenchmarkSave(b *testing.B) {
	for _, n := range []int{12, 200, 10_000} {
		b.Run(fmt.Sprint(n, " units"), func(b *testing.B) {
			f, err := Open(filepath.Join(b.TempDir(), "service_states.json"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			units := formattest.Many(n)
			tally := units["bench-6.service"]
			b.ReportAllocs()
			for b.Loop() {
				tally.Crashes++
				if err := f.Save(units); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSaveFails lets saves fail. The saved state stays, no file is left behind that would
// fill the disk, and a later save succeeds.
func TestSaveFails(t *testing.T) {
	if !filestest.Alone(t) {
		return
	}
	for _, tt := range []struct {
		name  string
		under func(t *testing.T, path string, f func())
		want  error
	}{
		{"the directory is read only", unprivileged, fs.ErrPermission},
		{"the disk is full", fullDisk, unix.EFBIG},
		{"the directory is gone", without, fs.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			save(t, f, 1)
			save(t, f, 2)
			tt.under(t, f.path, func() {
				err := f.Save(generation(3))
				if !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "cannot save state: ") {
					t.Errorf("Save: %v, want %v", err, tt.want)
				}
			})
			same(t, generation(2), loaded(t, f))
			want := []string{"service_states.json", "service_states.json.previous"}
			if diff := cmp.Diff(want, beside(t, f.path)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			save(t, f, 3)
			same(t, generation(3), loaded(t, f))
		})
	}
}

// fullDisk calls f while files are limited to 100 bytes. A longer write writes a part, and
// the next write fails.
func fullDisk(t *testing.T, _ string, f func()) {
	t.Helper()
	limitFiles(t, 100, f)
}

// limitFiles calls f while files are limited to so many bytes.
func limitFiles(t *testing.T, bytes uint64, f func()) {
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
	f()
}

// without calls f while the directory of path is moved away.
func without(t *testing.T, path string, f func()) {
	t.Helper()
	dir := filepath.Dir(path)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	f()
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
}

// TestAliasCopies wants a copy if there can be no hard link: on FAT, or because of
// protected_hardlinks.
func TestAliasCopies(t *testing.T) {
	to := filepath.Join(t.TempDir(), "copy")
	if err := alias("/proc/version", to); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, "/proc/version"), read(t, to)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
}

// TestAliasOfNothing wants the generation before to stay if there is no file to replace it.
func TestAliasOfNothing(t *testing.T) {
	f := newFile(t)
	put(t, f.path+previousSuffix, "good")
	save(t, f, 1)
	if got := read(t, f.path+previousSuffix); got != "good" {
		t.Errorf("generation before: %q", got)
	}
}
