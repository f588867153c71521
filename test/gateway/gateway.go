// Package gateway boots a throw-away gateway: a real systemd, with its own
// journal and its own system bus, in a container of systemd-nspawn(1).
//
// A machine shares the host's /usr, read-only, and nothing else. Its root is a
// temporary directory that holds what the caller puts there, so it boots in
// half a second, needs no image and no network, and leaves nothing behind. The
// directory outlives [Machine.PowerOff] and [Machine.PowerCut]: with
// [Machine.PowerOn] after them, a machine reboots. Where that is not enough of a
// Debian, as when packages are to be installed, there is [Options.Copy].
//
// It needs root, and the packages systemd-container and dbus; [Check] says
// what is missing. Commands behind /etc/alternatives (awk, for one) do not
// exist in a machine.
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
	"syscall"
	"time"
)

// Limits that no healthy machine comes near: a boot takes 0.4 s and a clean
// stop 0.15 s where this was written.
const (
	bootLimit = 30 * time.Second
	stopLimit = 10 * time.Second
	askLimit  = time.Second // for systemd-nspawn, which is asked a second time after that
	killLimit = 5 * time.Second
)

// Options say what a machine holds. The zero value is a machine with systemd,
// journald, the system bus and nothing else.
type Options struct {
	// System is the tree whose /usr the machine runs, so that another
	// systemd than the host's can be booted. Empty means the host's own.
	System string

	// Copy gives the machine a copy of all of System, which must be whole:
	// /etc, /var with the database of dpkg(1), and a /usr of its own, all
	// of it writable. It takes a second and as much of the disk as System.
	Copy bool

	// Units are unit files by unit name, below /etc/systemd/system. An
	// empty one masks that unit. On systemd 247, RestartSec=0 becomes 1ms.
	Units map[string]string

	// Files are further files: text by path. Paths are absolute, and not
	// below what is mounted at boot (/run, /tmp, and without Copy /usr).
	Files map[string]string

	// Binds are files and directories of the host that the machine sees
	// read-only: path on the host by path in the machine. The latter is
	// made if need be, but without Copy not below /usr.
	Binds map[string]string

	// Users are system users that may read the journal, made at boot by
	// sysusers.d(5), for what must run unprivileged.
	Users []string

	// Logind runs systemd-logind. It is masked otherwise: it subscribes to
	// PID 1's signals, and so hides a client that forgot to.
	Logind bool
}

// Machine is a gateway. Its methods may be called from several goroutines, but
// for those that switch it on or off.
type Machine struct {
	name   string
	dir    *os.File // its directory on the host, locked while we live
	binds  map[string]string
	leader int // 0 when the machine is off
	nspawn *process

	emulated bool
}

// Check says what this host lacks to boot a machine, and the remedy.
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

// Boot builds a machine and switches it on. It returns once systemd says that
// start-up is finished, whether or not each unit has started. The machine must
// be closed. If the calling process dies the machine is shut down, and a later
// Boot removes what is left of it.
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

// PowerOn boots a machine that is off. Every boot has a boot id of its own.
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

// PowerOff shuts the machine down in good order and keeps its files. It is an
// error if that took too long and the machine was cut off.
func (m *Machine) PowerOff() error { return m.off(m.halt, m.patience(stopLimit)) }

// PowerCut ends everything in the machine at once, with no warning, and keeps
// its files. Unlike a real power cut it loses nothing that was written.
func (m *Machine) PowerCut() error { return m.off(m.cut, killLimit) }

// Close switches the machine off and removes all that is left of it.
func (m *Machine) Close() error { return errors.Join(m.PowerOff(), remove(m.dir)) }

// Leader is the machine's PID 1 as a PID of this host, or 0 when it is off.
func (m *Machine) Leader() int { return m.leader }

// Name is the machine's host name.
func (m *Machine) Name() string { return m.name }

// off asks the machine's PID 1 for the end, in some way, and waits for it. With
// PID 1 the kernel ends every process of its PID namespace.
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
	m.nspawn.kill(leader)
	return fmt.Errorf("cannot stop %s within %v; it was cut off, and its console said: %s", m.name, limit, m.nspawn.console)
}

// halt sends PID 1 the signal to halt, SIGRTMIN+3: see systemd(1). It is sent
// from within, since qemu-user has other numbers for the real-time signals of
// the host than for those of what it emulates.
func (m *Machine) halt() {
	ctx, cancel := context.WithTimeout(context.Background(), m.patience(stopLimit))
	defer cancel()
	_, _ = m.Run(ctx, "sh", "-c", "kill -37 1") // if nothing is there to be halted, so much the better
}

// patience is a limit that suits the machine.
func (m *Machine) patience(limit time.Duration) time.Duration {
	if m.emulated {
		return slowness * limit
	}
	return limit
}

func (m *Machine) cut() { _ = syscall.Kill(m.leader, syscall.SIGKILL) }

// root is the directory of this host that the machine has as /.
func (m *Machine) root() string { return filepath.Join(m.dir.Name(), "root") }
