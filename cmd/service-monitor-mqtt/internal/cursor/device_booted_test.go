//go:build booted

package cursor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"service-monitor/test/bench/proc"
)

// TestDevice counts what reaches the device of an ext4, per save and per new file. Between two saves on
// a gateway are many minutes, in which the kernel writes the inode as well. Here it is told to.
func TestDevice(t *testing.T) {
	dir, device := loop(t)
	f, p, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p.Units = units(12)
	save := func() int {
		t.Helper()
		before := reached(t, dir, device)
		p.Seq++
		if err := f.Moved(p); err != nil {
			t.Fatal(err)
		}
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
		return reached(t, dir, device) - before
	}
	if made := save(); made > perFile {
		t.Errorf("%d bytes for the file, want at most %d", made, perFile)
	} else {
		t.Logf("%d bytes for the file", made)
	}
	const saves = 20
	sum := 0
	for range saves {
		sum += save()
	}
	each := sum / saves
	if t.Logf("%d bytes each save", each); each > block+perSave {
		t.Errorf("%d bytes, want at most %d", each, block+perSave)
	}
}

// reached returns what has reached a device when everything is on it.
func reached(t *testing.T, dir, device string) int {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		t.Fatal(err)
	}
	n, err := proc.Reached(device)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// loop mounts an ext4 of its own, and returns where, and the name of its device.
func loop(t *testing.T) (at, name string) {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(t.TempDir(), "image")
	command(t, "truncate", "--size=64M", image)
	command(t, "mkfs.ext4", "-q", "-b", "4096", "-O", "has_journal", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image)
	device := command(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { command(t, "losetup", "--detach", device) })
	command(t, "mount", "-t", "ext4", device, dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	return dir, filepath.Base(device)
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
