package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A watcher notes when lines about starts come into a log.
type watcher struct {
	path   string
	log    *os.File
	events *os.File // of inotify(7)
	wanted string   // is in the lines that count, with what follows
	rest   []byte   // a line that is not complete
	told   []time.Duration
	done   chan struct{}
}

// watch watches the log of a run for starts of units whose names begin with a prefix. The log must be
// there. watch watches its directory, because the log may be rotated.
func (r *run) watch(prefix string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	w := &watcher{path: r.file(logName), events: os.NewFile(uintptr(fd), "inotify"), wanted: prefix, done: make(chan struct{})}
	if w.log, err = os.OpenFile(w.path, os.O_RDONLY|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	if _, err := w.log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, r.dir, unix.IN_MODIFY|unix.IN_CREATE); err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", r.dir, err)
	}
	go w.run()
	return w, nil
}

func (w *watcher) run() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		if _, err := w.events.Read(buf); err != nil {
			return
		}
		w.look()
	}
}

// look reads all new lines.
func (w *watcher) look() {
	w.drain()
	now, err := os.Stat(w.path)
	if err != nil {
		return // it is being rotated
	}
	if last, err := w.log.Stat(); err != nil || os.SameFile(now, last) {
		return
	}
	w.drain() // what was written before the new file was there
	if next, err := os.Open(w.path); err == nil {
		w.log.Close()
		w.log = next
		w.drain()
	}
}

func (w *watcher) drain() {
	text, _ := io.ReadAll(w.log)
	w.take(text, monotonic())
}

func (w *watcher) take(text []byte, at time.Duration) {
	w.rest = append(w.rest, text...)
	whole := bytes.LastIndexByte(w.rest, '\n') + 1
	for line := range strings.Lines(string(w.rest[:whole])) {
		// The first state of a unit that ran already is no start.
		if strings.Contains(line, w.wanted) && strings.Contains(line, "-> active ") && !isFirst(line) {
			w.told = append(w.told, at)
		}
	}
	w.rest = w.rest[whole:]
}

// stop returns when each line came. It looks once more, because the event of the last line may still
// be missing.
func (w *watcher) stop() []time.Duration {
	w.events.Close()
	<-w.done
	w.look()
	w.log.Close()
	return w.told
}
