package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

// TestSymbolicLink makes the state file a link, as people do to keep it on another disk. A
// save leaves the link and replaces the file that the link leads to, or creates it.
func TestSymbolicLink(t *testing.T) {
	for _, tt := range []struct {
		name  string
		links map[string]string
	}{
		{"absolute", map[string]string{"var/s.json": "DIR/data/s.json"}},
		{"relative", map[string]string{"var/s.json": "../data/s.json"}},
		{"of a link", map[string]string{"var/s.json": "../etc/s.json", "etc/s.json": "DIR/data/s.json"}},
		{"in a linked directory", map[string]string{"var": "data/deep", "data/deep/s.json": "../s.json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"data/deep", "etc"} {
				os.MkdirAll(filepath.Join(dir, sub), 0o755)
			}
			if _, linked := tt.links["var"]; !linked {
				os.Mkdir(filepath.Join(dir, "var"), 0o755)
			}
			for from, to := range tt.links {
				if err := os.Symlink(strings.ReplaceAll(to, "DIR", dir), filepath.Join(dir, from)); err != nil {
					t.Fatal(err)
				}
			}
			link, data := filepath.Join(dir, "var/s.json"), filepath.Join(dir, "data/s.json")
			f := open(t, link)
			if _, err := Open(data); !errors.Is(err, files.ErrHeld) {
				t.Errorf("Open of what the link leads to: %v, want %v", err, files.ErrHeld)
			}
			for n := uint64(1); n <= 2; n++ {
				save(t, f, n)
				if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
					t.Errorf("the link is %v (%v)", info.Mode(), err)
				}
				if diff := cmp.Diff(text(t, n), read(t, data)); diff != "" {
					t.Errorf("what the link leads to (-want +got):\n%s", diff)
				}
			}
			same(t, generation(2), loaded(t, f))
		})
	}
}

func TestLinkLoop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	if err := os.Symlink("s.json", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, unix.ELOOP) {
		t.Errorf("Open: %v, want %v", err, unix.ELOOP)
	}
}
