package gateway

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// environment of what runs in a machine: nothing of ours, and no pager.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
	"LC_ALL=C.UTF-8",
	"SYSTEMD_PAGER=",
	"SYSTEMD_COLORS=0",
}

// Command prepares a command that runs in the machine as root, for a caller
// that wants its streams. It is killed when the context ends; what it has
// started may live on until the machine is off.
//
// It belongs to no unit: its control group is ours.
func (m *Machine) Command(ctx context.Context, argv ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
	cmd.Env = environment
	cmd.Cancel = func() error { return killChild(cmd.Process.Pid) }
	cmd.WaitDelay = time.Second
	return cmd
}

// killChild kills the command that an nsenter(1) waits for, so that nsenter
// reaps it and ends likewise. Were nsenter killed, the command would be left
// to this host's PID 1. In a container that may be one that reaps nothing, and
// then the machine waits at its shutdown for the dead to go.
func killChild(nsenter int) error {
	pid := strconv.Itoa(nsenter)
	children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	victim := nsenter // if it has not forked yet, or if this kernel does not tell
	if child := strings.Fields(string(children)); len(child) > 0 {
		victim, _ = strconv.Atoi(child[0])
	}
	return syscall.Kill(victim, syscall.SIGKILL)
}

// Run runs a command in the machine as root, to its end, and returns what it
// wrote to standard output. An error tells what it wrote to standard error and
// wraps an [exec.ExitError] if there was a status.
func (m *Machine) Run(ctx context.Context, argv ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := m.Command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		return stdout.String(), fmt.Errorf("cannot run %q in %s: %w: %s", strings.Join(argv, " "), m.name, err, said)
	}
	return stdout.String(), nil
}

// Version is that of the machine's systemd, such as 252.
func (m *Machine) Version(ctx context.Context) (int, error) {
	out, err := m.Run(ctx, "systemctl", "--version")
	if err != nil {
		return 0, err
	}
	var version int
	if _, err := fmt.Sscanf(out, "systemd %d", &version); err != nil {
		return 0, fmt.Errorf("cannot read the version in %q: %w", out, err)
	}
	return version, nil
}

// ReadFile returns the text of a file of the machine, be it on or off. A link
// is followed unless it is absolute: that would lead out of the machine.
func (m *Machine) ReadFile(path string) (string, error) {
	dir, err := os.OpenRoot(m.files())
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	text, err := dir.ReadFile(inside(path))
	return string(text), err
}

// WriteFile writes a file of the machine, be it on or off, and makes the
// directories that it needs.
func (m *Machine) WriteFile(path, text string, mode os.FileMode) error {
	dir, err := os.OpenRoot(m.files())
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return put(dir, path, text, mode)
}

// files is where this host sees the machine's files: with all that is mounted
// in it while it is on.
func (m *Machine) files() string {
	if m.leader == 0 {
		return m.root()
	}
	return "/proc/" + strconv.Itoa(m.leader) + "/root"
}
