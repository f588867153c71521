package files

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Listen makes a unix socket for its user and group. It replaces a socket that an earlier process has
// left. Any other file stays, and so does a socket on which somebody listens: both are errors. Root
// listens only where nobody else can replace the socket.
func Listen(path string) (net.Listener, error) {
	if _, err := Follow(path); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there, and is no socket", path)
	default:
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return nil, fmt.Errorf("somebody listens on %s already", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Nobody can connect to a socket without the right to write to it. Until now the umask has kept
	// others away.
	if err := share(path); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// share lets the user and the group of a socket connect to it. chmod(2) would follow a symbolic link that
// somebody puts there at that moment, and fchmod(2) of a socket does not change its file. So share first
// finds out what is there, and then changes just that.
func share(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("somebody has put something else in place of the socket %s", path)
	}
	// fchmod(2) takes no such descriptor, and kernels before 6.6 have no call that does (open(2), "O_PATH").
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o660); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}
