//go:build booted

package powercuts

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// These are in the /run of fakejournal.Enter. It is a tmpfs that is gone with the last process of the
// test, and with it go the mounts and their loop devices, however the test ends.
const (
	shelf = "/run/shelf"    // XFS, with the images
	fresh = shelf + "/new"  // an ext4 on which no monitor was yet
	power = "/run/disk"     // where the image of a running monitor is mounted
	fixed = "/run/repaired" // where what a cut has left is mounted
)

// makeShelf makes the file system for the images, and the first image.
func makeShelf(t *testing.T) {
	t.Helper()
	const outer = "/run/outer"
	for _, dir := range []string{shelf, power, fixed} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range [][]string{
		{"truncate", "--size=320M", outer}, {"mkfs.xfs", "-q", "-m", "reflink=1", outer},
		{"mount", "-o", "loop,discard", outer, shelf},
		{"truncate", "--size=16M", fresh}, {"mkfs.ext4", "-q", "-b", "4096", "-J", "size=4", fresh},
	} {
		command(t, cmd...)
	}
}

func command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// mount mounts an image. The kernel first does what it does after a power cut.
func mount(t *testing.T, image, at string) {
	t.Helper()
	command(t, "mount", "-o", "loop", image, at)
}

func unmount(t *testing.T, at string, flags int) {
	t.Helper()
	if err := unix.Unmount(at, flags); err != nil {
		t.Errorf("cannot unmount %s: %v", at, err)
	}
}

// duplicate copies an image. The copy of a mounted image is what a power cut would leave at this moment:
// XFS lets nobody write while both files begin to share their blocks. What the kernel has only in its
// memory is not in the copy. What a disk would have lost from its own cache is in it. Most file systems
// cannot do that, so the images have one of their own.
func duplicate(t *testing.T, from, to string) {
	t.Helper()
	old, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.IoctlFileClone(int(f.Fd()), int(old.Fd())), f.Close()); err != nil {
		t.Fatalf("cannot copy %s: %v", from, err)
	}
}
