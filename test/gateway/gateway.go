// Package gateway boots a throw-away gateway: a real systemd, with its own
// journal and its own system bus, in a container of systemd-nspawn(1).
//
// A machine shares the host's /usr, read-only, and nothing else. Its root is a
// temporary directory that holds what the caller puts there, so it boots in
// half a second, needs no image and no network, and leaves nothing behind. The
// directory stays after [Machine.PowerOff] and [Machine.PowerCut], so that with
// [Machine.PowerOn] a machine reboots. If a test needs a complete Debian, for example to
// install packages, there is [Options.Copy].
//
// It needs root, and the packages systemd-container and dbus. [Check] says what is missing.
// Commands that are links to /etc/alternatives, such as awk, do not exist in a machine.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A healthy machine takes far less than these limits: on the machine of the authors a boot took
// 0.4 s and a clean stop 0.15 s.
const (
	bootLimit = 3 * time.Minute
	stopLimit = time.Minute
	askLimit  = time.Second // after this time systemd-nspawn is asked a second time
	killLimit = 30 * time.Second
)

// Options say what is in a machine. The zero value means systemd, journald, the system bus and
// nothing else.
type Options struct {
	// System is a tree. The machine uses its /usr, so it can boot another systemd than the
	// host's. Empty means the host itself.
	System string

	// Copy gives the machine a writable copy of all of System. System must be complete:
	// /etc, /var with the database of dpkg(1), and /usr. The copy takes a second, and as
	// much of the disk as System.
	Copy bool

	// Units are the texts of unit files by unit name. They are put below
	// /etc/systemd/system. An empty text masks the unit. On systemd 247, RestartSec=0
	// becomes 1ms.
	Units map[string]string

	// Files are the texts of other files by path. Paths are absolute. They must not be below
	// a directory that is mounted at boot: /run, /tmp, and without Copy /usr.
	Files map[string]string

	// Binds are files and directories of the host that the machine sees read-only: the path
	// on the host by the path in the machine. The path in the machine is made if necessary,
	// but without Copy not below /usr.
	Binds map[string]string

	// Users are system users that may read the journal, for programs that must run without
	// privileges. sysusers.d(5) makes them at boot.
	Users []string

	// Logind runs systemd-logind. Without it logind is masked, because logind subscribes to
	// PID 1's signals. A test would not notice if the monitor forgot to subscribe.
	Logind bool
}

// A Machine is a gateway. Its methods may be called from several goroutines, except those that
// switch it on or off.
type Machine struct {
	name   string
	dir    *os.File // its directory on the host, locked while we live
	binds  map[string]string
	leader int // its PID 1 as a PID of this host; 0 if the machine is off
	nspawn *process

	emulated bool
}

// Check returns an error if this host lacks something to boot a machine, and says what to do.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("cannot boot a gateway without root: run this with sudo")
	}
	for _, need := range []struct{ command, pkg string }{
		{"systemd-nspawn", "systemd-container"},
		{"dbus-daemon", "dbus"},
		{"nsenter", "util-linux"},
	} {
		if _, err := exec.LookPath(need.command); err != nil {
			return fmt.Errorf("cannot boot a gateway without %s: run apt-get install %s", need.command, need.pkg)
		}
	}
	return nil
}

// Boot makes a machine and switches it on. It returns when systemd says that the start-up is
// finished, even if some unit has not started. The caller must close the machine. If the
// calling process dies, the machine is shut down, and a later Boot removes its files.
func Boot(ctx context.Context, o Options) (*Machine, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	architecture, err := Architecture(o.System)
	if err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", o.System, err)
	}
	sweep()
	dir, err := claim()
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory for a gateway: %w", err)
	}
	m := &Machine{name: filepath.Base(dir.Name()), dir: dir, binds: map[string]string{}, emulated: architecture != runtime.GOARCH}
	if !o.Copy {
		m.binds["/usr"] = filepath.Join("/", o.System, "usr")
	}
	maps.Copy(m.binds, o.Binds)
	if err := plant(ctx, m.root(), o, m.emulated); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot build %s: %w", m.name, err), m.Close())
	}
	if err := m.PowerOn(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// PowerOn boots a machine that is off. Every boot has a boot ID of its own.
func (m *Machine) PowerOn(ctx context.Context) error {
	if m.leader != 0 {
		return fmt.Errorf("cannot boot %s: it is on", m.name)
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience(bootLimit))
	defer cancel()
	nspawn, leader, err := boot(ctx, m.name, m.root(), m.binds)
	if err != nil {
		return fmt.Errorf("cannot boot %s: %w", m.name, err)
	}
	m.nspawn, m.leader = nspawn, leader
	return nil
}

// PowerOff shuts the machine down and keeps its files. It returns an error if that took too
// long, so that the machine was cut off.
func (m *Machine) PowerOff() error { return m.off(m.halt, m.patience(stopLimit)) }

// PowerCut kills everything in the machine at once, without a warning, and keeps its files.
// Unlike a real power cut, it loses no data that was written.
func (m *Machine) PowerCut() error { return m.off(m.cut, killLimit) }

// Close switches the machine off and removes its files.
func (m *Machine) Close() error { return errors.Join(m.PowerOff(), remove(m.dir)) }

// Leader returns the machine's PID 1 as a PID of this host; 0 if the machine is off.
func (m *Machine) Leader() int { return m.leader }

// Name returns the machine's host name.
func (m *Machine) Name() string { return m.name }

// off makes the machine's PID 1 end, in the given way, and waits for that. When PID 1 ends, the
// kernel kills every other process of its PID namespace.
func (m *Machine) off(ask func(), limit time.Duration) error {
	if m.leader == 0 {
		return nil
	}
	defer forget(m.name)
	ask()
	leader := m.leader
	m.leader = 0
	if m.nspawn.ends(limit) {
		return nil
	}
	where := waits(leader)
	m.nspawn.kill(leader)
	return fmt.Errorf("cannot stop %s within %v; it was cut off. %s. Its console said: %s", m.name, limit, where, m.nspawn.console)
}

// waits says where the PID 1 of a machine was when it did not end. If systemd hangs in the kernel,
// that is the reason.
func waits(leader int) string {
	proc := filepath.Join("/proc", strconv.Itoa(leader))
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return "Its PID 1 has ended"
	}
	stack, _ := os.ReadFile(filepath.Join(proc, "stack"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return fmt.Sprintf("Its PID 1 was in state %.1s, at %s", state, strings.Join(strings.Fields(string(stack)), " "))
}

// halt sends PID 1 the signal to halt, SIGRTMIN+3 (systemd(1)). It sends it from inside of the
// machine, because qemu-user changes the numbers of real-time signals from outside.
func (m *Machine) halt() {
	ctx, cancel := context.WithTimeout(context.Background(), m.patience(stopLimit))
	defer cancel()
	_, _ = m.Run(ctx, "sh", "-c", "kill -37 1") // an error does not matter: the machine may be off already
}

// patience returns a time limit, which is longer for an emulated machine.
func (m *Machine) patience(limit time.Duration) time.Duration {
	if m.emulated {
		return slowness * limit
	}
	return limit
}

func (m *Machine) cut() { _ = syscall.Kill(m.leader, syscall.SIGKILL) }

// root returns the directory of this host that is / in the machine.
func (m *Machine) root() string { return filepath.Join(m.dir.Name(), "root") }
