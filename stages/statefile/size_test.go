package statefile

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"service-monitor/stages/files"
)

func TestMemoryLimit(t *testing.T) {
	root := t.TempDir()
	for group, limit := range map[string]string{"a.slice": "900\n", "a.slice/b.service": "max\n", "c.slice": "max\n", "d.service": "64\n"} {
		dir := filepath.Join(root, group)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "memory.max"), limit)
	}
	for _, tt := range []struct {
		name, groups string
		want         int64
	}{
		{"its own", "0::/d.service\n", 64},
		{"that above it", "0::/a.slice/b.service\n", 900},
		{"none", "0::/c.slice\n", math.MaxInt64},
		{"the root", "0::/\n", math.MaxInt64},
		{"no such group", "0::/gone.service\n", math.MaxInt64},
		{"an older kernel", "4:memory:/d.service\n1:name=systemd:/d.service\n", math.MaxInt64},
		{"both", "4:memory:/c.slice\n0::/d.service\n", 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cgroup")
			put(t, path, tt.groups)
			if got := memoryLimit(path, root); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// TestLoadable wants a file with checksums to be allowed more bytes than one without.
func TestLoadable(t *testing.T) {
	text := []byte(text(t, 1))
	plain := bytes.ReplaceAll(text, []byte("checksum"), []byte("checksun"))
	long := func(text []byte) []byte { return bytes.Repeat(text, 100) }
	most := int64(len(long(text)))
	for _, tt := range []struct {
		name string
		text []byte
		want error
	}{
		{"with checksums", long(text), nil},
		{"without", long(plain), files.ErrTooLarge},
		{"half of it without", long(plain)[:most/plainShare], nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := loadable(tt.text, most); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// TestLoadTooLarge wants a file that is too large to be kept aside like a damaged one, and
// not to be read.
func TestLoadTooLarge(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	save(t, f, 2)
	if err := os.Truncate(f.path, largestEver+1); err != nil { // a sparse file takes no room
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	units, notes, err := f.Load()
	runtime.ReadMemStats(&after)
	if err != nil || !strings.Contains(notes.Error(), files.ErrTooLarge.Error()) || !strings.Contains(notes.Error(), "kept as ") {
		t.Errorf("Load: %v, error %v, want %v", notes, err, files.ErrTooLarge)
	}
	same(t, generation(1), units)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("it took %d bytes of memory", used)
	}
}
