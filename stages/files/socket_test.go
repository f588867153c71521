package files

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A socket that an earlier process has left is replaced. One where somebody listens is not, and no other
// file is.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "socket")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	if other, err := Listen(path); err == nil || !strings.Contains(err.Error(), "somebody listens on "+path) {
		t.Errorf("%v, %v", other, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if other, err := Listen(file); err == nil || !strings.Contains(err.Error(), file+" is there, and is no socket") {
		t.Errorf("%v, %v", other, err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
}
