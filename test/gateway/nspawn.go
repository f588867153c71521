package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// boot starts systemd-nspawn and returns once the systemd in it has said, by
// sd_notify(3), that start-up is finished.
func boot(ctx context.Context, name, root string, binds map[string]string) (*process, int, error) {
	news, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@" + name})
	if err != nil {
		return nil, 0, err
	}
	// Once nobody listens, what systemd-nspawn still tells is refused.
	// Unread, it would fill the socket and then block systemd-nspawn.
	defer func() { _ = news.Close() }()
	nspawn, err := start(command(name, root, binds), name)
	if err != nil {
		return nil, 0, err
	}
	defer closeWhen(ctx.Done(), nspawn.done, news)()
	leader, err := ready(news)
	if err == nil {
		return nspawn, leader, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("systemd is not ready: %w", ctx.Err())
	}
	nspawn.kill(leader)
	forget(name)
	return nil, 0, fmt.Errorf("%w; its console said: %s", err, nspawn.console)
}

// command is the systemd-nspawn(1) call. It is not registered with
// systemd-machined, which may not run; nsenter(1) needs no registration.
func command(name, root string, binds map[string]string) *exec.Cmd {
	args := []string{
		"--directory=" + root, "--boot", "--notify-ready=yes",
		"--machine=" + name, "--register=no", "--link-journal=no", "--private-network", "--console=pipe",
	}
	if !booted() {
		args = append(args, "--keep-unit") // nobody here could give it a unit of its own
	}
	for path, host := range binds {
		args = append(args, "--bind-ro="+escape(host)+":"+escape(path))
	}
	cmd := exec.Command("systemd-nspawn", args...)
	cmd.Env = append(os.Environ(),
		"NOTIFY_SOCKET=@"+name,
		// It cannot tell from the root, whose /usr is still empty, that this
		// systemd knows the unified hierarchy, and would take the old one.
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
	)
	return cmd
}

// escape protects the separator of --bind-ro=.
func escape(path string) string { return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(path) }

// booted tells whether this host itself runs systemd, see sd_booted(3).
func booted() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// ready reads notifications until both have come: the PID of the machine's
// systemd, which systemd-nspawn tells, and that it is ready, which it tells.
func ready(news net.Conn) (leader int, err error) {
	buf := make([]byte, 4096)
	for done := false; !done || leader == 0; {
		n, err := news.Read(buf)
		if err != nil {
			return leader, errors.New("systemd-nspawn has ended")
		}
		for line := range strings.Lines(string(buf[:n])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "X_NSPAWN_LEADER_PID":
				leader, _ = strconv.Atoi(value)
			case "READY":
				done = value == "1"
			}
		}
	}
	return leader, nil
}

// closeWhen closes a connection, and so ends a read from it, when one of two
// channels is closed. The function that it returns calls that off.
func closeWhen(a, b <-chan struct{}, conn net.Conn) func() {
	over := make(chan struct{})
	go func() {
		select {
		case <-a:
		case <-b:
		case <-over:
		}
		_ = conn.Close()
	}()
	return func() { close(over) }
}

// process is a systemd-nspawn that runs.
type process struct {
	pid     int
	done    chan struct{} // closed when it has ended and was reaped
	console *tail
}

// start runs systemd-nspawn in a control group of its own and in a session of
// its own, so that Ctrl-C is for us alone. When we die it shuts the machine
// down. It is not killed then, for the machine would live on without it.
func start(cmd *exec.Cmd, name string) (*process, error) {
	p := &process{done: make(chan struct{}), console: new(tail)}
	cmd.Stdout, cmd.Stderr = p.console, p.console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if group, err := makeGroup(name); err == nil && group != nil {
		defer func() { _ = group.Close() }()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	} else if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the
		// process: this one must live until the process has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its status tells nothing that the console does not
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		forget(name)
		return nil, err
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// over sends a signal to a process of the machine, or to systemd-nspawn
// itself, and tells whether everything ended within the limit.
func (p *process) over(pid int, sig syscall.Signal, limit time.Duration) bool {
	_ = syscall.Kill(pid, sig) // if it is gone already, so much the better
	return p.ends(limit)
}

// ends waits for the end of everything, and tells whether it came in time.
func (p *process) ends(limit time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// kill ends the machine, and waits for that. If its PID 1 is known it is that
// which is killed, and systemd-nspawn tidies up. Otherwise systemd-nspawn is
// asked: on the first SIGTERM it asks PID 1, and on the second it kills it.
func (p *process) kill(leader int) {
	if leader != 0 && p.over(leader, syscall.SIGKILL, killLimit) {
		return
	}
	if p.over(p.pid, syscall.SIGTERM, askLimit) || p.over(p.pid, syscall.SIGTERM, killLimit) {
		return
	}
	_ = syscall.Kill(p.pid, syscall.SIGKILL)
	<-p.done
}

// tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}

// makeGroup makes the control group in which a machine runs on a host without
// systemd. Two machines that start in the same group would share one payload
// group, and each systemd would take the other's processes for its own.
func makeGroup(name string) (*os.File, error) {
	unified := groups("cgroup2", name)
	if booted() || len(unified) == 0 {
		return nil, nil
	}
	if err := os.Mkdir(unified[0], 0o755); err != nil {
		return nil, err
	}
	return os.Open(unified[0])
}

// groups lists where the control group of a machine is, in hierarchies of one
// type: cgroup2, or cgroup, to which systemd-nspawn copies it.
func groups(fstype, name string) []string {
	own := "/"
	for _, line := range lines("/proc/self/cgroup") {
		path, ok := strings.CutPrefix(line, "0::")
		if ok && !strings.HasPrefix(path, "/..") { // else outside of what we see of the hierarchy
			own = path
		}
	}
	var dirs []string
	for _, line := range lines("/proc/self/mounts") {
		if f := strings.Fields(line); len(f) > 2 && f[2] == fstype {
			dirs = append(dirs, filepath.Join(f[1], own, name))
		}
	}
	return dirs
}

// forget removes what systemd-nspawn may leave of a machine outside of the
// machine's own directory: control groups and directories for its mounts.
func forget(name string) {
	for _, dir := range append(groups("cgroup2", name), groups("cgroup", name)...) {
		removeGroup(dir)
	}
	for _, dir := range []string{"propagate", "unix-export"} {
		path := filepath.Join("/run/systemd/nspawn", dir, name)
		_ = syscall.Unmount(path, syscall.MNT_DETACH)
		_ = os.Remove(path)
	}
}

// removeGroup removes a control group and those in it. The files in it cannot
// be removed, and need not be.
func removeGroup(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeGroup(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir)
}

func lines(file string) []string {
	text, _ := os.ReadFile(file)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
