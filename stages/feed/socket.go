package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// errUnit is the error if the unit has not made the directory of the default socket. It may be a copy
// from before there was a feed.
var errUnit = errors.New("there is no directory " + filepath.Dir(DefaultSocket) + "; let the unit make it (RuntimeDirectory=service-monitor, RuntimeDirectoryMode=0750)")

// listen begins to listen on the socket. It returns a channel of new connections, and a function
// that ends that.
func (s *Stage) listen() (conns <-chan net.Conn, end func()) {
	listener, err := bind(s.socket)
	if s.socket == DefaultSocket && errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("NOTIFY_SOCKET") == "" {
			return nil, func() {} // systemd has not started the monitor, so nobody expects that directory
		}
		err = errUnit
	}
	if err != nil {
		s.log.WithError(err).Warn("nobody can listen to the monitor; status reads its files instead")
		return nil, func() {}
	}
	c, done := make(chan net.Conn), make(chan struct{})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				time.Sleep(pause) // there are too many open files, but perhaps not for long
				continue
			}
			select {
			case c <- conn:
			case <-done:
				conn.Close()
			}
		}
	}()
	return c, func() { close(done); listener.Close() }
}

// bind makes the socket. It replaces a socket that an earlier monitor has left. Any other file
// stays, and is an error.
func bind(socket string) (net.Listener, error) {
	info, err := os.Lstat(socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there, and is no socket", socket)
	default:
		if conn, err := net.DialTimeout("unix", socket, time.Second); err == nil {
			conn.Close()
			return nil, fmt.Errorf("another monitor listens on %s", socket)
		}
		if err := os.Remove(socket); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	// Nobody can connect to a socket without the right to write to it. Until now the umask has kept
	// others away.
	if err := os.Chmod(socket, 0o660); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}
