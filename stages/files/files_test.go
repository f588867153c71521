package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpenKinds wants Open to refuse anything but a regular file, with any flags, and never to
// wait: the named pipe here has no other end.
func TestOpenKinds(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"directory", func(path string) error { return os.Mkdir(path, 0o755) }, "a directory"},
		{"pipe", func(path string) error { return unix.Mkfifo(path, 0o666) }, "a named pipe"},
		{"socket", func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) }, "a socket"},
		{"link", func(path string) error { return os.Symlink("/etc/passwd", path) }, "a symbolic link"},
		{"link to nothing", func(path string) error { return os.Symlink("nothing", path) }, "a symbolic link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREATE} {
				_, err := Open(path, flag, 0o644)
				if want := "open " + path + ": it is " + tt.want + ", not a regular file"; !errors.Is(err, ErrKind) || err.Error() != want {
					t.Errorf("Open with %#x: %v, want %s", flag, err, want)
				}
			}
		})
	}
	if _, err := Open("/dev/null", os.O_RDONLY, 0); !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), "a device") {
		t.Errorf("Open of a device: %v", err)
	}
}

// TestOpenChecksWhatItOpened wants Open to check the file that it has opened, not only what
// was at the path before.
func TestOpenChecksWhatItOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := unix.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := check(f, os.O_RDONLY); !errors.Is(err, ErrKind) {
		t.Errorf("check: %v, want %v", err, ErrKind)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int64]error{4: ErrTooLarge, 5: nil, 6: nil} {
		if b, err := Read(path, most); !errors.Is(err, want) || want == nil && string(b) != "12345" {
			t.Errorf("Read of at most %d: %q, %v, want %v", most, b, err, want)
		}
	}
	// A file of /proc has the size 0.
	if b, err := Read("/proc/self/status", 1<<20); err != nil || len(b) == 0 {
		t.Errorf("Read: %q, %v", b, err)
	}
	if _, err := Read("/proc/self/status", 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Read: %v, want %v", err, ErrTooLarge)
	}
}
