package feed

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"service-monitor/stages/files"
)

// errUnit is the error if the unit has not made the directory of the default socket. It may be a copy
// from before there was a feed.
var errUnit = errors.New("there is no directory " + filepath.Dir(DefaultSocket) + "; let the unit make it (RuntimeDirectory=service-monitor, RuntimeDirectoryMode=0750)")

// listen begins to listen on the socket. It returns a channel of new connections, and a function
// that ends that.
func (s *Stage) listen() (conns <-chan net.Conn, end func()) {
	listener, err := files.Listen(s.socket)
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
