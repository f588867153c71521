package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/files"
	"service-monitor/stages/row"
)

// sockets returns the listeners: that of --listen, or else those that systemd has passed.
func (o *options) sockets() (listeners []net.Listener, activated bool, err error) {
	if o.Set.Changed(listenFlag) {
		l, err := listen(o.listen)
		if err != nil {
			return nil, false, fmt.Errorf("cannot listen: %w; %w", err, errListen)
		}
		return []net.Listener{l}, false, nil
	}
	passed, err := activation.Listeners()
	if err != nil {
		return nil, false, fmt.Errorf("cannot use the sockets that systemd has passed: %w", err)
	}
	for _, l := range passed {
		if l == nil { // it is no stream
			return nil, false, errors.New("systemd has passed a socket that is none for connections; its unit must have ListenStream=")
		}
		listeners = append(listeners, l)
	}
	if len(listeners) == 0 {
		return nil, false, config.Misuse("there is no socket to serve at; write --listen 127.0.0.1:12937, or let systemd start this program (systemctl start service-monitor-web.socket)")
	}
	return listeners, true, nil
}

// checkAddress checks the value of --listen before anything else is done.
func checkAddress(address string) error {
	if strings.Contains(address, "/") {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 {
		return config.Misuse("--%s must be followed by HOST:PORT, such as 127.0.0.1:12937, or by the path of a unix socket, found %s", listenFlag, row.Quote(address))
	}
	return nil
}

// listen listens on a path, or on a host and a port.
func listen(address string) (net.Listener, error) {
	if !strings.Contains(address, "/") {
		return net.Listen("tcp", address)
	}
	return files.Listen(address)
}
