package files

import (
	"errors"
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

// TestListenPlanted has another user own a part of the way to the socket. Root must neither listen there, nor
// remove what is there.
func TestListenPlanted(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can make files of other users
	}
	for _, tt := range []struct {
		name  string
		lines []string
		path  string
		err   error
	}{
		{"directory of a user", []string{"dir 0755 1 /u"}, "/u/x", ErrOwner},
		{"link of a user", []string{"dir 1777 0 /s", "dir 0755 0 /r", "link 1 /s/l DIR/r"}, "/s/l/x", ErrOwner},
		{"writable for all", []string{"dir 0777 0 /w"}, "/w/x", ErrOwner},
		{"shared", []string{"dir 1777 0 /s"}, "/s/x", nil},
		{"link of root", []string{"dir 0755 0 /r", "link 0 /l r"}, "/l/x", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, tt.lines...)
			l, err := Listen(dir + tt.path)
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if l != nil {
				l.Close()
			}
		})
	}
}

// TestShare changes the mode of a socket, and of nothing that was put in its place.
func TestShare(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, err := range []error{os.Chmod(at("socket"), 0o600), os.WriteFile(at("file"), nil, 0o600), os.Symlink("file", at("link")), os.Symlink("socket", at("to socket"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, file string
		want       os.FileMode
	}{
		{"file", "file", 0o600},
		{"link", "file", 0o600},
		{"to socket", "socket", 0o600},
		{"socket", "socket", 0o660},
	} {
		err := share(at(tt.name))
		if (err == nil) != (tt.name == "socket") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if info, err := os.Stat(at(tt.file)); err != nil || info.Mode().Perm() != tt.want {
			t.Errorf("%s: %v, %v", tt.name, info, err)
		}
	}
}
