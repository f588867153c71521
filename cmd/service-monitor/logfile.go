package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Rotation of the log file.
const (
	logMegabytes = 1
	logBackups   = 3
)

// logFile is the rotated log file. lumberjack would write on into nothing when
// its file is deleted or moved away, so the file is opened again when the path
// no longer leads to it.
type logFile struct {
	path   string
	rotate *lumberjack.Logger
	opened os.FileInfo
}

// Write appends whole lines.
func (l *logFile) Write(b []byte) (int, error) {
	if l.rotate == nil {
		l.rotate = &lumberjack.Logger{Filename: l.path, MaxSize: logMegabytes, MaxBackups: logBackups, LocalTime: true}
	}
	now, err := os.Stat(l.path)
	if l.opened != nil && (err != nil || !os.SameFile(l.opened, now)) {
		l.rotate.Close() // opens again with the next write
	}
	if errors.Is(err, fs.ErrNotExist) {
		// lumberjack would create it for its owner alone.
		if err := touch(l.path); err != nil {
			return 0, err
		}
	}
	n, err := l.rotate.Write(b)
	l.opened, _ = os.Stat(l.path)
	return n, err
}

// touch creates a file that people may read, or checks that it may be written.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// prepareLog makes sure that the log file can be written.
func prepareLog(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return touch(path)
}

// removeLog removes the log file and the backups that lumberjack made of it,
// name-<time>.ext.
func removeLog(path string) error {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	errs := []error{remove(path)}
	for _, e := range entries {
		stamp, isBackup := strings.CutPrefix(strings.TrimSuffix(e.Name(), ext), stem)
		if _, err := time.Parse("2006-01-02T15-04-05.000", stamp); isBackup && err == nil {
			errs = append(errs, remove(filepath.Join(filepath.Dir(path), e.Name())))
		}
	}
	return errors.Join(errs...)
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
