// Package servers runs servers of Debian for a test: a Prometheus and a mosquitto.
package servers

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A process is a server that says on its standard error when it is ready.
type process struct {
	*exec.Cmd
	ended chan struct{}
}

// start starts a server, and returns when it has said a text.
func start(t *testing.T, ready, name string, args ...string) *process {
	t.Helper()
	p := &process{exec.Command(name, args...), make(chan struct{})}
	log, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatalf("%v; make deps gets it", err)
	}
	var said []string
	is := make(chan bool, 1)
	go func() {
		defer close(p.ended)
		lines, waits := bufio.NewScanner(log), true
		for lines.Scan() { // to the end: a full pipe would stop the server
			if waits {
				said = append(said, lines.Text())
			}
			if waits && strings.Contains(lines.Text(), ready) {
				waits = false
				is <- true
			}
		}
		_ = p.Wait()
		close(is)
	}()
	if !<-is {
		t.Fatalf("%s has ended:\n%s", name, strings.Join(said, "\n"))
	}
	return p
}

// stop sends a signal, and waits for the end. A server that was stopped by a signal goes on for that.
func (p *process) stop(signal os.Signal) {
	_ = p.Process.Signal(signal)
	_ = p.Process.Signal(syscall.SIGCONT)
	<-p.ended
}

// FreeAddress returns an address of the loopback interface at which nobody listens.
func FreeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

// FreePort returns the port of a free address.
func FreePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(FreeAddress(t))
	return port
}
