package persist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrHeld is returned by Hold where another monitor holds the file.
var ErrHeld = errors.New("another monitor holds it")

// Hold takes path for this process, with a lock file beside the file. The lock
// ends with the process; the lock file stays, because removing it would race.
// Who may not write it may not hold it either: flock(2) asks for no more than to
// read, so anybody could keep the monitor from starting.
func Hold(path string) (*os.File, error) {
	name := follow(path) + lockSuffix
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	Give(lock)
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lock, nil
}

// Give gives a file that root has made, by --clear or by running the monitor by
// hand, to the owner of its directory, who runs it otherwise. Nobody else can
// give files away, and nobody else need.
func Give(f *os.File) {
	var st unix.Stat_t
	if unix.Stat(filepath.Dir(f.Name()), &st) == nil {
		f.Chown(int(st.Uid), int(st.Gid))
	}
}

// maxLinks bounds follow as the kernel bounds it (path_resolution(7)).
const maxLinks = 40

// follow returns the file that a symbolic link leads to, there or not yet. To
// rename over the link would leave the data on the disk that people linked away
// from, and the next boot would find the old counters where they linked to.
func follow(path string) string {
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				break
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return path
}
