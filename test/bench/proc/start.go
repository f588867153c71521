// Package proc runs the contestants of a bench, and reads from outside what they cost. No
// contestant measures itself.
package proc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is a process that runs or has ended.
type Process struct {
	Pid   int
	Begun time.Time // just before it was forked
	done  chan struct{}
	// own and children are processor time. They are set before done is closed.
	own, children time.Duration
	ticks         time.Duration // what ChildCPU returned last
}

// Start runs a command in the mount and PID namespace of the process leader, or in ours if leader is
// 0. Both its outputs go to a file. nsenter(1) would fork the command, so it would not be our child.
func Start(leader int, argv, env []string, output string) (*Process, error) {
	file, err := os.OpenFile(output, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Stdout: file, Stderr: file}
	// A program that looks at JOURNAL_STREAM must believe that its output is the journal, as in a
	// service.
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin", fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino)}, env...)
	// If we die, the machine dies too, and so do all its processes. (Pdeathsig does not
	// work: from another PID namespace we seem to be dead.)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go p.run(leader, cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", argv[0], err)
	}
	return p, nil
}

// run starts the command and waits for it. Its thread cannot leave the other namespaces, so the
// thread ends with this goroutine.
func (p *Process) run(leader int, cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	if err := enter(leader); err != nil {
		started <- err
		return
	}
	p.Begun = time.Now()
	err := cmd.Start()
	if err == nil {
		p.Pid = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	defer close(p.done)
	// wait(2) gives only the sum with the children. While the process is a zombie, its clock still
	// has its own part, and /proc has the part of the children.
	for unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.own, p.ticks = p.CPU(), p.ChildCPU()
	_ = cmd.Wait() // how it ended is in its output, if it matters
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	p.children = max(0, time.Duration(usage.Utime.Nano()+usage.Stime.Nano())-p.own)
}

// enter puts the calling thread into the namespaces of a process.
func enter(leader int) error {
	if leader == 0 {
		return nil
	}
	base := "/proc/" + strconv.Itoa(leader)
	root, err := os.Open(base + "/root")
	if err != nil {
		return err
	}
	defer root.Close()
	// A thread that shares its root with others cannot have another one.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	for _, ns := range []struct {
		name string
		kind int
	}{{"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}} {
		file, err := os.Open(base + "/ns/" + ns.name)
		if err != nil {
			return err
		}
		err = unix.Setns(int(file.Fd()), ns.kind)
		file.Close()
		if err != nil {
			return err
		}
	}
	if err := root.Chdir(); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop ends the process. It returns the processor time of its whole life, without that of its
// children.
func (p *Process) Stop() time.Duration {
	_ = syscall.Kill(p.Pid, syscall.SIGTERM) // an error means that it has ended already
	select {
	case <-p.done:
	case <-time.After(stopLimit):
		_ = syscall.Kill(p.Pid, syscall.SIGKILL)
		<-p.done
	}
	return p.own
}

// Children returns the processor time of its children, once it has been stopped.
func (p *Process) Children() time.Duration { return p.children }

// stopLimit is more than any contestant takes.
const stopLimit = 20 * time.Second
