package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"

	"service-monitor/stages/persist"
)

// Rotation of the log file. lumberjack keeps the backups whose names have the
// newest times. So while the clock is behind those that are there, as after a boot
// in 1970, each new backup is removed at once, and the log is what is in the file
// itself, with older ones beside it. It never grows by that.
const (
	logMegabytes = 1
	logBackups   = 3
)

// logFile is the rotated log file. lumberjack would write on into nothing when
// its file is deleted or moved away, so the file is opened again when it is not
// the one that was written last.
type logFile struct {
	path   string
	rotate *lumberjack.Logger
	last   fileID // of the file that was written last; zero before the first
	room   int64  // what it has room for before lumberjack rotates
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

// Write appends whole lines, and takes a line back that a full disk has torn.
func (l *logFile) Write(b []byte) (int, error) {
	if id, _ := idOf(l.path); id != l.last || l.last == (fileID{}) {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.rotate.Write(b)
	if err != nil {
		n = l.untear(b[:n])
	}
	if l.room -= int64(n); l.room <= 0 || err != nil {
		l.rotated()
	}
	return n, err
}

// rotated finds out whether lumberjack has rotated, as it does when a write has no
// room. It opens a new file without O_APPEND, which would leave a hole where
// somebody truncates it, and an old one with it.
func (l *logFile) rotated() {
	id, size := idOf(l.path)
	if id != l.last {
		l.rotate.Close()
	}
	l.last, l.room = id, logMegabytes<<20-size
}

// untear cuts what was written back to its last whole line, and returns how much
// of it is left.
func (l *logFile) untear(written []byte) int {
	whole := bytes.LastIndexByte(written, '\n') + 1
	torn := int64(len(written) - whole)
	now, err := os.Stat(l.path)
	if err != nil || now.Size() < torn || os.Truncate(l.path, now.Size()-torn) != nil {
		return len(written)
	}
	return whole
}

// open makes lumberjack open the file with its next write.
func (l *logFile) open() error {
	l.last = fileID{}
	if err := prepareLog(l.path); err != nil {
		return err
	}
	path := target(l.path)
	if l.rotate != nil {
		l.rotate.Close()
	}
	if l.rotate == nil || l.rotate.Filename != path { // a Logger costs a goroutine for good
		l.rotate = &lumberjack.Logger{Filename: path, MaxSize: logMegabytes, MaxBackups: logBackups, LocalTime: true}
	}
	id, size := idOf(l.path)
	l.last, l.room = id, logMegabytes<<20-size
	return nil
}

// target is where a symbolic link leads. Rotation renames the file, and must not
// rename the link.
func target(path string) string {
	if leads, err := filepath.EvalSymlinks(path); err == nil {
		return leads
	}
	return path
}

// prepareLog makes sure that the log file can be written. lumberjack would
// create it for its owner alone.
func prepareLog(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	persist.Give(f)
	endLine(f)
	return f.Close()
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

// backupTime is the layout of the time in the names of lumberjack's backups.
const backupTime = "2006-01-02T15-04-05.000"

// removeLog removes the log file and the backups that lumberjack made of it.
func removeLog(path string) error {
	path = target(path)
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
