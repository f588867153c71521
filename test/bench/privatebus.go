package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// busConfig lets everybody do everything. The bus listens on the socket of that path.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// A privateBus is a dbus-daemon with the limits of a system bus and nobody on it.
type privateBus struct {
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	socket  string        // as the host sees it
	address string        // as the machine sees it
}

// bus starts a private bus whose socket the machine sees.
func (s *site) bus() (*privateBus, error) {
	dir := filepath.Join(s.root, "var/bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("bus-%d", s.runs.Add(1))
	b := &privateBus{done: make(chan struct{}), socket: filepath.Join(dir, name), address: "unix:path=/var/bench/" + name}
	config := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, b.socket), 0o644); err != nil {
		return nil, err
	}
	b.cmd = exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--print-address", "--config-file="+config)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true} // Ctrl-C must not end it before the bench has
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go b.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it listens as soon as it has printed its address
		b.close()
		return nil, fmt.Errorf("dbus-daemon does not start: %w", err)
	}
	return b, nil
}

// run starts the bus and waits for it, all in one thread, because the kernel sends Pdeathsig when
// that thread ends.
func (b *privateBus) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := b.cmd.Start()
	started <- err
	if err == nil {
		_ = b.cmd.Wait() // it was killed
		close(b.done)
	}
}

func (b *privateBus) pid() int { return b.cmd.Process.Pid }

func (b *privateBus) close() {
	_ = b.cmd.Process.Kill()
	<-b.done
}
