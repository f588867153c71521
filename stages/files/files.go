// Package files opens files whose directory may belong to somebody else.
//
// Two rules hold for all of them. Only a regular file is opened: a named pipe
// would hang the monitor, and a device may do anything. And root does not go
// where another user leads it: see Become.
package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrKind is returned for a path that exists but is not a regular file.
var ErrKind = errors.New("not a regular file")

// ErrTooLarge is returned by Read for a file that has too many bytes.
var ErrTooLarge = errors.New("it is too large")

// Open opens a regular file as os.OpenFile does. It never waits for another
// process, and it does not follow a symbolic link at the end of path: call Follow
// first where links are wanted.
func Open(path string, flag int, perm fs.FileMode) (*os.File, error) {
	// Opening a device can have an effect, so look before opening.
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, kindError(path, info.Mode())
	}
	// Meanwhile it may have become something else. With O_NONBLOCK, opening a named pipe
	// does not wait for the other end. For a regular file the flag means nothing.
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	if err := check(f, flag); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// check returns an error for an open file that Open must refuse.
func check(f *os.File, flag int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return kindError(f.Name(), kindOf(st.Mode))
	}
	if writing := flag&(os.O_WRONLY|os.O_RDWR) != 0; writing && os.Geteuid() == 0 {
		return planted(f.Name(), &st)
	}
	return nil
}

// planted refuses a file to which root is to write if another user may have put it there. In
// a directory where only root may make files, root made the file. In a directory such as
// /tmp, a file that belongs to another user was made by that user. A file of root with a
// second name may be any file of root: unless fs.protected_hardlinks is on, link(2) needs
// no permission for the file.
func planted(path string, st *unix.Stat_t) error {
	dir := filepath.Dir(path)
	var above unix.Stat_t
	if err := unix.Stat(dir, &above); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	shared := above.Uid != 0 && mapped(above.Uid) || othersWrite(dir, &above)
	switch {
	case shared && st.Uid != 0 && mapped(st.Uid):
		return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it belongs to user %s, and root does not write to it; choose another file", userName(st.Uid))}
	case shared && st.Nlink > 1:
		return &fs.PathError{Op: "open", Path: path, Err: errors.New("it has a second name (a hard link), by which it may be any file of root; choose another file")}
	}
	return nil
}

// kinds lists what a file can be other than a regular file.
var kinds = []struct {
	mode fs.FileMode
	name string
}{
	{fs.ModeDir, "a directory"},
	{fs.ModeSymlink, "a symbolic link"},
	{fs.ModeNamedPipe, "a named pipe"},
	{fs.ModeSocket, "a socket"},
	{fs.ModeDevice, "a device"},
}

func kindError(path string, mode fs.FileMode) error {
	name := "something else"
	for _, k := range kinds {
		if mode&k.mode != 0 {
			name = k.name
			break
		}
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is %s, %w", name, ErrKind)}
}

// kindOf returns the kind of file that st_mode contains (inode(7)).
func kindOf(mode uint32) fs.FileMode {
	return map[uint32]fs.FileMode{
		unix.S_IFDIR: fs.ModeDir, unix.S_IFLNK: fs.ModeSymlink, unix.S_IFIFO: fs.ModeNamedPipe,
		unix.S_IFSOCK: fs.ModeSocket, unix.S_IFBLK: fs.ModeDevice, unix.S_IFCHR: fs.ModeDevice,
	}[mode&unix.S_IFMT]
}

// Read reads a regular file of at most this many bytes. It does not read a larger one, so
// that takes no memory.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if info.Size() <= most {
		b.Grow(int(info.Size()) + bytes.MinRead) // without this, the buffer would grow to twice the size
		_, err = b.ReadFrom(io.LimitReader(f, most+1))
	}
	if err == nil && max(info.Size(), int64(b.Len())) > most {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)
	}
	return b.Bytes(), err
}

// Explain adds to the error of a write what to do if the directory was removed. The monitor
// does not make it again, because it may be the mount point of a disk that is not mounted.
// In the sandbox of a unit, a directory that was made again is read-only until it is bound
// into the sandbox.
func Explain(err error, dir string) error {
	bind := "systemctl bind service-monitor " + dir + " (see service-monitor(8)); a restart would lose what is not saved"
	switch _, missing := os.Stat(dir); {
	case errors.Is(missing, fs.ErrNotExist):
		name := userName(uint32(os.Geteuid()))
		return fmt.Errorf("%w; the directory %s is gone; make it again: install -d -m 750 -o %s %s; if the monitor runs as a unit, then run: %s", err, dir, name, dir, bind)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w; if the directory was removed and made again, run: %s", err, bind)
	}
	return err
}
