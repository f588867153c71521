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

// environment is the environment of commands in a machine: nothing of this process, and no
// pager.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
	"LC_ALL=C.UTF-8",
	"SYSTEMD_PAGER=",
	"SYSTEMD_COLORS=0",
}

// Command prepares a command that runs in the machine as root, for a caller that uses its
// streams. It is killed when the context ends. Processes that it has started may run until
// the machine is off.
//
// It belongs to no unit: it stays in the control group of this process.
func (m *Machine) Command(ctx context.Context, argv ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
	cmd.Env = environment
	cmd.Cancel = func() error { return killChild(cmd.Process.Pid) }
	cmd.WaitDelay = time.Second
	return cmd
}

// killChild kills the command that an nsenter(1) waits for. nsenter then reaps the command and
// ends, too. If nsenter were killed instead, this host's PID 1 would have to reap the command.
// In a container PID 1 may reap nothing. The machine would then wait at its shutdown for the
// dead process.
func killChild(nsenter int) error {
	pid := strconv.Itoa(nsenter)
	children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	victim := nsenter // if nsenter has not forked yet, or if this kernel has no such file
	if child := strings.Fields(string(children)); len(child) > 0 {
		victim, _ = strconv.Atoi(child[0])
	}
	return syscall.Kill(victim, syscall.SIGKILL)
}

// Run runs a command in the machine as root, and returns its standard output. An error has the
// text of its standard error, and wraps an [exec.ExitError] if there was a status.
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

// Version returns the version of the machine's systemd, such as 252.
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

// ReadFile returns the text of a file of the machine, which may be on or off. It follows a
// relative link. An absolute one would lead out of the machine.
func (m *Machine) ReadFile(path string) (string, error) {
	dir, err := os.OpenRoot(m.files())
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	text, err := dir.ReadFile(inside(path))
	return string(text), err
}

// WriteFile writes a file of the machine, which may be on or off. It makes the directories that
// the file needs.
func (m *Machine) WriteFile(path, text string, mode os.FileMode) error {
	dir, err := os.OpenRoot(m.files())
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return put(dir, path, text, mode)
}

// files returns the directory in which this host sees the machine's files. While the machine is
// on, that includes its mounts.
func (m *Machine) files() string {
	if m.leader == 0 {
		return m.root()
	}
	return "/proc/" + strconv.Itoa(m.leader) + "/root"
}
