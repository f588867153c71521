package cursor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// units returns so many units, with names of the usual length and counts.
func units(n int) map[string]uint64 {
	units := make(map[string]uint64, n)
	for i := range n {
		units[fmt.Sprintf("wirepas-sink-ttyUSB%d.service", i)] = uint64(1000 + i)
	}
	return units
}

// memory returns a directory on a tmpfs.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "cursor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func mustOpen(t testing.TB, dir, volatile string) (*File, Position) {
	t.Helper()
	f, p, err := Open(dir, volatile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.release() })
	return f, p
}

func mustMove(t testing.TB, f *File, p Position) {
	t.Helper()
	if err := f.Moved(p); err != nil {
		t.Fatal(err)
	}
}

func mustSave(t testing.TB, f *File) {
	t.Helper()
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// beside returns the names of the files in a directory.
func beside(t testing.TB, dir string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}
