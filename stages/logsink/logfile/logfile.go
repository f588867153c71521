// Package logfile is the rotated log file.
package logfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"

	"service-monitor/stages/files"
)

// Rotation of the log file, and the mode of one that is made. lumberjack keeps the
// backups whose names have the newest times. While the clock is behind those that are
// there, as after a boot in 1970, each new backup is removed at once. Then the log is
// what is in the file itself, with older ones beside it. It never grows by that.
const (
	megabytes = 1
	backups   = 3
	newMode   = 0o644
)

// A File is the rotated log file. lumberjack appends to it and removes old
// backups. It would write on into nothing when its file is deleted or moved away, so
// the file is opened again when it is not the one that was written last. Nor does
// it rotate: it would open the new file without O_APPEND, which leaves a hole where
// somebody truncates it, and follow a link that somebody put there just then.
type File struct {
	path   string
	lock   *files.Lock
	rotate *lumberjack.Logger
	last   fileID // of the file that was written last; zero before the first
	room   int64  // what it has room for before it is rotated
}

// A fileID tells files apart (inode(7)); no file has the zero one. One that is
// open keeps its own, deleted or not.
type fileID struct{ dev, ino uint64 }

// idOf also returns the file's size.
func idOf(path string) (fileID, int64) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return fileID{}, 0
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, st.Size
}

// New returns a log file that is opened with the first write. Where lock is not nil, it is
// that of the file.
func New(path string, lock *files.Lock) *File { return &File{path: path, lock: lock} }

// Write appends whole lines, and takes a line back that a full disk has torn.
func (l *File) Write(b []byte) (int, error) {
	if err := l.ready(len(b)); err != nil {
		return 0, files.Explain(err, filepath.Dir(l.path))
	}
	n, err := l.rotate.Write(b)
	if err != nil {
		n = l.untear(b[:n])
	}
	if l.room -= int64(n); err != nil {
		l.last = fileID{} // whatever happened, look again
	}
	return n, err
}

// ready opens the file that a write of so many bytes goes to. The lock may have gone with its
// directory. Then another monitor may hold the file that is there now, and rotate it.
func (l *File) ready(n int) error {
	if l.lock != nil {
		if err := l.lock.Stay(); err != nil {
			return err
		}
	}
	if id, _ := idOf(l.path); id != l.last || l.last == (fileID{}) {
		if err := l.open(newMode); err != nil {
			return err
		}
	}
	if empty := l.room == megabytes<<20; int64(n) > l.room && !empty {
		return l.turn()
	}
	return nil
}

// turn makes the file a backup, and begins a new one with the same mode.
func (l *File) turn() error {
	path := l.rotate.Filename
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if err := os.Rename(path, backupName(path)); err != nil {
		return err
	}
	return l.open(info.Mode().Perm())
}

// untear cuts what was written back to its last whole line, and returns how much
// of it is left.
func (l *File) untear(written []byte) int {
	whole := bytes.LastIndexByte(written, '\n') + 1
	torn := int64(len(written) - whole)
	f, err := openFile(l.path, newMode)
	if err != nil {
		return len(written)
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil || now.Size() < torn || f.Truncate(now.Size()-torn) != nil {
		return len(written)
	}
	return whole
}

// open makes lumberjack open the file with its next write.
func (l *File) open(mode fs.FileMode) error {
	l.last = fileID{}
	path, err := prepare(l.path, mode)
	if err != nil {
		return err
	}
	if l.rotate != nil {
		l.rotate.Close()
	}
	if l.rotate == nil || l.rotate.Filename != path { // a Logger costs a goroutine for good
		// With twice the size, it does not rotate.
		l.rotate = &lumberjack.Logger{Filename: path, MaxSize: 2 * megabytes, MaxBackups: backups, LocalTime: true}
	}
	id, size := idOf(l.path)
	l.last, l.room = id, max(megabytes<<20-size, 0)
	return nil
}

// openFile opens the log file, where a symbolic link leads. Rotation renames the
// file, and must not rename the link.
func openFile(path string, mode fs.FileMode) (*os.File, error) {
	real, err := files.Follow(path)
	if err != nil {
		return nil, err
	}
	return files.Open(real, os.O_RDWR|os.O_APPEND|os.O_CREATE, mode)
}

// Prepare makes sure that the log file can be written.
func Prepare(path string) error {
	_, err := prepare(path, newMode)
	return err
}

// prepare also returns where the file is. lumberjack would create it for its owner alone.
func prepare(path string, mode fs.FileMode) (string, error) {
	f, err := openFile(path, mode)
	if err != nil {
		return "", err
	}
	endLine(f)
	return f.Name(), f.Close()
}

// endLine ends a line that a power cut or a full disk has torn.
func endLine(f *os.File) {
	var last [1]byte
	if _, err := f.Seek(-1, io.SeekEnd); err != nil {
		return // empty
	}
	if _, err := f.Read(last[:]); err == nil && last[0] != '\n' {
		f.WriteString("\n")
	}
}

// backupTime is the layout of the time in the names of the backups, by which
// lumberjack knows them.
const backupTime = "2006-01-02T15-04-05.000"

// backupName is the name of a backup that there is not yet.
func backupName(path string) string {
	ext := filepath.Ext(path)
	for now := time.Now(); ; now = now.Add(time.Millisecond) {
		name := strings.TrimSuffix(path, ext) + "-" + now.Format(backupTime) + ext
		if _, err := os.Lstat(name); err != nil {
			return name
		}
	}
}

// Remove removes the log file and the backups that were made of it.
func Remove(path string) error {
	path, err := files.Follow(path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	errs := []error{remove(path)}
	for _, e := range entries {
		if e.Type().IsRegular() && isBackup(e.Name(), filepath.Base(path)) {
			errs = append(errs, remove(filepath.Join(filepath.Dir(path), e.Name())))
		}
	}
	return errors.Join(errs...)
}

// isBackup reports whether name is that of a backup of log, "stem-<time>.ext".
func isBackup(name, log string) bool {
	ext := filepath.Ext(log)
	stamp, isOurs := strings.CutPrefix(name, strings.TrimSuffix(log, ext)+"-")
	stamp, hasExt := strings.CutSuffix(stamp, ext)
	_, err := time.Parse(backupTime, stamp)
	return isOurs && hasExt && err == nil
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
