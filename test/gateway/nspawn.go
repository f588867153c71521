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

// boot starts systemd-nspawn. It returns when the systemd in the machine has notified that the
// start-up is finished (sd_notify(3)).
func boot(ctx context.Context, name, root string, binds map[string]string) (*process, int, error) {
	news, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@" + name})
	if err != nil {
		return nil, 0, err
	}
	// Close the socket afterwards, so that later notifications are refused. If nobody read
	// them, they would fill the socket and block systemd-nspawn.
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

// command returns the call of systemd-nspawn(1). The machine is not registered with
// systemd-machined, because that may not run. nsenter(1) needs no registration.
func command(name, root string, binds map[string]string) *exec.Cmd {
	args := []string{
		"--directory=" + root, "--boot", "--notify-ready=yes",
		"--machine=" + name, "--register=no", "--link-journal=no", "--private-network", "--console=pipe",
	}
	if !booted() {
		args = append(args, "--keep-unit") // there is no systemd that could give it a unit of its own
	}
	for path, host := range binds {
		args = append(args, "--bind-ro="+escape(host)+":"+escape(path))
	}
	cmd := exec.Command("systemd-nspawn", args...)
	cmd.Env = append(os.Environ(),
		"NOTIFY_SOCKET=@"+name,
		// The root has an empty /usr at this time, so systemd-nspawn cannot see that the
		// systemd in it knows the unified hierarchy. It would use the old one.
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
	)
	return cmd
}

// escape escapes the separator of --bind-ro=.
func escape(path string) string { return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(path) }

// booted reports whether this host itself runs systemd (sd_booted(3)).
func booted() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// ready reads notifications until it has two: from systemd-nspawn the PID of the machine's
// systemd, and from that systemd that it is ready.
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

// closeWhen closes a connection when one of two channels is closed, which ends a read from the
// connection. The function that it returns stops that.
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

// process is a running systemd-nspawn.
type process struct {
	pid     int
	done    chan struct{} // closed when it has ended and was reaped
	console *tail
}

// start runs systemd-nspawn in a control group of its own. It also has a session of its own, so
// that Ctrl-C does not reach it. If this process dies, systemd-nspawn gets a signal to shut
// the machine down. It must not be killed, because the machine would go on without it.
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
		// The kernel sends Pdeathsig when the thread that has started the process ends. So
		// this thread must live as long as the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the console has more than the status
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

// over sends a signal to a process of the machine or to systemd-nspawn. It reports whether all
// processes ended within the limit.
func (p *process) over(pid int, sig syscall.Signal, limit time.Duration) bool {
	_ = syscall.Kill(pid, sig) // an error does not matter: the process may have ended already
	return p.ends(limit)
}

// ends waits for the end of all processes, and reports whether it came in time.
func (p *process) ends(limit time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// kill ends the machine, and waits for that. If its PID 1 is known, kill kills that, and
// systemd-nspawn cleans up. Otherwise it sends SIGTERM to systemd-nspawn, which asks PID 1 to
// end at the first SIGTERM and kills it at the second.
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

// tail keeps the last part of what was written to it.
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

// makeGroup makes the control group in which a machine runs on a host without systemd. If two
// machines started in the same group, they would share one payload group. Each systemd would
// then manage the processes of the other one, too.
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

// groups lists the directories of a machine's control group in hierarchies of one type: cgroup2,
// or cgroup, to which systemd-nspawn copies it.
func groups(fstype, name string) []string {
	own := "/"
	for _, line := range lines("/proc/self/cgroup") {
		path, ok := strings.CutPrefix(line, "0::")
		if ok && !strings.HasPrefix(path, "/..") { // with /.. it is in a part of the hierarchy that we do not see
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

// forget removes what systemd-nspawn may leave outside of the machine's directory: control
// groups and directories for its mounts.
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

// removeGroup removes a control group and the groups in it. The files in a group cannot be
// removed, and need not be.
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
