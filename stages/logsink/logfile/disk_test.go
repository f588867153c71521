package logfile

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files/filestest"
)

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
