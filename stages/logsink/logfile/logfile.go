// Package logfile writes and rotates the log file.
package logfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"

	"service-monitor/stages/files"
)

// The log file is rotated at this size. lumberjack keeps the backups whose names have the
// newest times. If the clock is behind these times, as after a boot in 1970, lumberjack
// removes each new backup at once. The log is then the file itself and the older backups. It
// never takes more space for that.
const (
	megabytes = 1
	backups   = 3
	newMode   = 0o644

	// A power cut puts zeros only into the block in which a file ends. Blocks are not larger than this.
	largestBlock = 64 << 10
)

// A File is the rotated log file. lumberjack appends to it and removes old backups. Two
// things are done here instead:
//
// If somebody has deleted or moved the file, it is opened again. lumberjack would go on
// writing to the file that is gone.
//
// The file is rotated here. lumberjack would open the new file without O_APPEND, so there
// would be a hole in it after somebody truncates it. It would also follow a symbolic link
// that somebody puts there at that moment.
type File struct {
	path   string
	lock   *files.Lock
	rotate *lumberjack.Logger
	last   fileID // the file that was written last; zero before the first write
	room   int64  // how many bytes fit before it is rotated

	written *files.Meter
}

// Meter has m count the bytes that are written from now on.
func (l *File) Meter(m *files.Meter) { l.written = m }

// A fileID identifies a file (inode(7)), even if it was deleted while it is open. No file has
// the zero fileID.
type fileID struct{ dev, ino uint64 }

// idOf returns the ID and the size of a file; zero if there is none.
func idOf(path string) (fileID, int64) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return fileID{}, 0
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, st.Size
}

// New returns a log file. The first write opens it. lock is the lock of the file; nil for
// none.
func New(path string, lock *files.Lock) *File { return &File{path: path, lock: lock} }

// Write appends whole lines. If a full disk takes only a part of a line, Write removes that
// part again.
func (l *File) Write(b []byte) (int, error) {
	if err := l.ready(len(b)); err != nil {
		return 0, files.Explain(err, filepath.Dir(l.path))
	}
	n, err := l.rotate.Write(b)
	l.written.Add(n)
	if err != nil {
		n = l.untear(b[:n])
	}
	if l.room -= int64(n); err != nil {
		l.last = fileID{} // look at the file again before the next write
	}
	return n, err
}

// ready makes sure that the right file is open and has room for n bytes. It takes the lock
// again if the lock file is gone: another monitor could hold the file and rotate it.
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

// turn renames the file to a backup, and begins a new file with the same mode.
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

// untear cuts the file after its last whole line, and returns how many of the written bytes
// are left.
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

// open makes lumberjack open the file at its next write.
func (l *File) open(mode fs.FileMode) error {
	l.last = fileID{}
	path, err := prepare(l.path, mode)
	if err != nil {
		return err
	}
	if l.rotate != nil {
		l.rotate.Close()
	}
	if l.rotate == nil || l.rotate.Filename != path { // each Logger starts a goroutine that never ends
		// With twice the size, lumberjack never rotates.
		l.rotate = &lumberjack.Logger{Filename: path, MaxSize: 2 * megabytes, MaxBackups: backups, LocalTime: true}
	}
	id, size := idOf(l.path)
	l.last, l.room = id, max(megabytes<<20-size, 0)
	return nil
}

// openFile opens the log file. If path is a symbolic link, it opens the target under its own
// name: rotation renames the file, and must not rename the link.
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

// prepare does the same and also returns the real path. lumberjack would create the file with
// read permission for its owner alone.
func prepare(path string, mode fs.FileMode) (string, error) {
	f, err := openFile(path, mode)
	if err != nil {
		return "", err
	}
	endLine(f)
	return f.Name(), f.Close()
}

// endLine adds a newline if a power cut or a full disk has torn the last line. Before that, it removes
// zeros at the end: after a power cut, a file on ext4 may have its new size, and zeros instead of what
// was appended last.
func endLine(f *os.File) {
	info, err := f.Stat()
	if err != nil {
		return
	}
	end := make([]byte, min(info.Size(), largestBlock))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return
	}
	text := bytes.TrimRight(end, "\x00")
	zeros := int64(len(end) - len(text))
	if zeros > 0 && f.Truncate(info.Size()-zeros) != nil {
		return
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		f.WriteString("\n")
	}
}

// backupTime is the layout of the time in the names of the backups. lumberjack recognizes
// them by it.
const backupTime = "2006-01-02T15-04-05.000"

// backupName returns a name for a new backup that no file has yet.
func backupName(path string) string {
	ext := filepath.Ext(path)
	for now := time.Now(); ; now = now.Add(time.Millisecond) {
		name := strings.TrimSuffix(path, ext) + "-" + now.Format(backupTime) + ext
		if _, err := os.Lstat(name); err != nil {
			return name
		}
	}
}

// Remove removes the log file and its backups.
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

// isBackup reports whether name is the name of a backup of log: "stem-<time>.ext".
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
