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

// A watcher notes when lines of starts come into a log.
type watcher struct {
	log    *os.File
	events *os.File // of inotify(7)
	wanted string   // is in the lines that count, with what follows
	rest   []byte   // a line that is not complete
	told   []time.Duration
	done   chan struct{}
}

// watch watches the log of a run, which is there, for starts of units whose names
// begin with a prefix.
func (r *run) watch(prefix string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	w := &watcher{events: os.NewFile(uintptr(fd), "inotify"), wanted: prefix, done: make(chan struct{})}
	if w.log, err = os.OpenFile(r.file(logName), os.O_RDONLY|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	if _, err := w.log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, r.file(logName), unix.IN_MODIFY); err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", r.file(logName), err)
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
		at := monotonic()
		n, _ := io.ReadFull(w.log, buf)
		w.take(buf[:n], at)
	}
}

func (w *watcher) take(text []byte, at time.Duration) {
	w.rest = append(w.rest, text...)
	whole := bytes.LastIndexByte(w.rest, '\n') + 1
	for line := range strings.Lines(string(w.rest[:whole])) {
		// What the first change shows of a unit that ran already is no start.
		if strings.Contains(line, w.wanted) && strings.Contains(line, "-> active ") && !strings.Contains(line, ": - ->") {
			w.told = append(w.told, at)
		}
	}
	w.rest = w.rest[whole:]
}

// stop returns when each line came.
func (w *watcher) stop() []time.Duration {
	w.events.Close()
	<-w.done
	w.log.Close()
	return w.told
}
