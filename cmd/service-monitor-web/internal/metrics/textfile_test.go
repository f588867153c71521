package metrics

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/files"
)

// only wants a directory to have nothing but these names.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("in the directory: %s", diff)
	}
}

// The file replaces the one before, and everybody may read it whatever the umask is.
func TestTextfile(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	path := filepath.Join(dir, "service-monitor.prom")
	var want bytes.Buffer
	for _, s := range []*tell.Status{status(looping(), missing()), status(looping())} {
		if err := Textfile(path, s, Options{}); err != nil {
			t.Fatal(err)
		}
		want.Reset()
		_ = Write(&want, s, Options{})
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%v\n%s", err, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		only(t, dir, "service-monitor.prom")
	}
}

// What is no regular file is neither replaced nor followed.
func TestTextfileRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("precious"), []byte("precious"), 0o600), os.Symlink("precious", at("link")), os.Symlink("nowhere", at("dangling")),
		os.Mkdir(at("dir"), 0o755), unix.Mkfifo(at("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "dangling", "dir", "pipe"} {
		if err := Textfile(at(name), status(), Options{}); !errors.Is(err, files.ErrKind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Textfile(at("absent/x.prom"), status(), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if got, _ := os.ReadFile(at("precious")); string(got) != "precious" {
		t.Errorf("precious is %q", got)
	}
	only(t, dir, "dangling", "dir", "link", "pipe", "precious")
}

// If it cannot be written, the file before stays, and nothing else does.
func TestTextfileFull(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.prom")
	if err := Textfile(path, status(), Options{}); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 10, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	err := Textfile(path, status(looping()), Options{})
	if back := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, unix.EFBIG) {
		t.Error(err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Errorf("it became %q", after)
	}
	only(t, dir, "x.prom")
}
