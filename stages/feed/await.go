package feed

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// await connects to a socket as soon as somebody listens there. If it has to wait for that, it
// calls away once.
func await(ctx context.Context, socket string, away func(error) error) (net.Conn, error) {
	conn, err := dial(ctx, socket)
	if err == nil {
		return conn, nil
	}
	if err := away(err); err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		w, err := watch(filepath.Dir(socket))
		if err != nil {
			return nil, err
		}
		if conn, err = dial(ctx, socket); err != nil {
			err = w.wait(ctx)
		}
		if w.events.Close(); conn != nil || err != nil {
			return conn, err
		}
	}
	return nil, ctx.Err()
}

// A watcher watches a directory with inotify(7).
type watcher struct {
	fd     int
	events *os.File
}

// watch watches for files that are made or changed in a directory, and for what becomes of the
// directory itself.
func watch(dir string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &watcher{fd, os.NewFile(uintptr(fd), "inotify")}
	if err := w.add(dir); err != nil {
		w.events.Close()
		return nil, fmt.Errorf("cannot wait for what comes in %s: %w", dir, err)
	}
	return w, nil
}

// add adds a directory. If the directory is not there, it adds the one above, in which it will be
// made.
func (w *watcher) add(dir string) error {
	err := w.one(dir)
	above := filepath.Dir(dir)
	if err == nil || above == dir {
		return err
	}
	if err := w.add(above); err != nil {
		return err
	}
	_ = w.one(dir) // it may have been made meanwhile
	return nil
}

func (w *watcher) one(dir string) error {
	_, err := unix.InotifyAddWatch(w.fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
	return err
}

// wait returns when something has changed, or when ctx is done.
func (w *watcher) wait(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { w.events.Close() })()
	if _, err := w.events.Read(make([]byte, 4096)); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
