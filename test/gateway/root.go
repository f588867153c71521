package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// prefix is the beginning of each machine's name. Its directory has the same name.
const prefix = "service-monitor-gateway-"

// The journal is kept on disk, because a reboot must not lose it. It is kept completely, because
// counts are compared with it.
const journald = `[Journal]
Storage=persistent
RateLimitIntervalSec=0
RateLimitBurst=0
`

// bootTarget makes a machine boot without a display.
const bootTarget = "/usr/lib/systemd/system/multi-user.target"

// claim makes and locks the directory of a new machine. The lock shows that this process runs.
func claim() (*os.File, error) {
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	return lock(path)
}

// sweep removes the machines of processes that were killed. It leaves directories that are newer
// than fresh, because their process may be just about to lock them.
func sweep() {
	const fresh = time.Minute
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, path := range left {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < fresh {
			continue
		}
		if dir, err := lock(path); err == nil {
			forget(filepath.Base(path))
			_ = remove(dir)
		}
	}
}

// lock opens a directory and locks it. It fails if another process has locked it.
func lock(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// remove deletes a machine's directory, and then releases its lock.
func remove(dir *os.File) error {
	return errors.Join(os.RemoveAll(dir.Name()), dir.Close())
}

// plant fills the directory root with the files that systemd needs to boot, and with those of
// the options.
//
// It writes a machine ID, so that the boot is not a first boot: systemd-firstboot asks nothing,
// and presets enable nothing. About ten services start that the units of the system want
// without being enabled. In a copy the services start that are enabled there, too.
func plant(ctx context.Context, root string, o Options, emulated bool) error {
	system := filepath.Join("/", o.System)
	files := map[string]string{
		"/etc/machine-id": machineID(),
		"/etc/systemd/journald.conf.d/gateway.conf": journald,
		"/etc/sysusers.d/gateway.conf":              sysusers(o.Users),
	}
	if !o.Logind {
		files[unitPath("systemd-logind.service")] = ""
	}
	if emulated {
		files["/etc/systemd/system/service.d/10-emulation.conf"] = unemulated
	}
	var ground error
	if o.Copy {
		// At random times of the day these would hold the lock of apt-get(8).
		files[unitPath("apt-daily.timer")], files[unitPath("apt-daily-upgrade.timer")] = "", ""
		ground = duplicate(ctx, system, root)
	} else {
		ground = lay(system, root)
	}
	if ground != nil {
		return ground
	}
	units := make(map[string]string, len(o.Units))
	for name, text := range o.Units {
		units[unitPath(name)] = pausing(system, text)
	}
	return errors.Join(
		mkdir(root, unitPath("")),
		write(root, files), write(root, units), write(root, o.Files),
		os.Symlink(bootTarget, filepath.Join(root, unitPath("default.target"))),
	)
}

// lay makes a root on which the system's /usr will be mounted.
func lay(system, root string) error {
	release, err := os.ReadFile(filepath.Join(system, "usr/lib/os-release"))
	if err != nil {
		return err
	}
	return errors.Join(
		mkdir(root, "usr", "etc", "var", "run", "tmp", "dev", "proc", "sys", "root"),
		links(system, root),
		// Without it systemd-nspawn refuses the root.
		write(root, map[string]string{"/etc/os-release": string(release)}),
	)
}

// duplicate copies the system's root. An overlay would be faster, but each way to end a machine
// would have to unmount it.
func duplicate(ctx context.Context, system, root string) error {
	if system == "/" {
		return errors.New("cannot copy the host's own system: name another")
	}
	if out, err := exec.CommandContext(ctx, "cp", "--archive", system, root).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot copy %s: %w: %s", system, err, out)
	}
	// debootstrap(8) has written this host's name there.
	return os.RemoveAll(filepath.Join(root, "etc/hostname"))
}

// pausing returns a unit file that systemd 247 can stop. In that version, a unit that is stopped
// while it waits for its restart waits once more. With RestartSec=0, PID 1 does that for ever
// and does nothing else any more (service_enter_restart()).
func pausing(system, text string) string {
	if _, err := os.Stat(filepath.Join(system, "usr/lib/systemd/libsystemd-shared-247.so")); err != nil {
		return text
	}
	return strings.ReplaceAll(text, "RestartSec=0\n", "RestartSec=1ms\n")
}

// links makes the same links as in the system's root that lead into /usr, such as bin, lib and
// lib64. Programs find the dynamic loader through them.
func links(system, root string) error {
	entries, err := os.ReadDir(system)
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(system, e.Name()))
		if err != nil || !strings.HasPrefix(target, "usr/") {
			continue
		}
		if err := os.Symlink(target, filepath.Join(root, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes directories that everybody in the machine may enter, regardless of our umask.
func mkdir(root string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o755)); err != nil {
			return err
		}
	}
	return os.Chmod(root, 0o755)
}

// write writes files below root that everybody in the machine may read.
func write(root string, files map[string]string) error {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	for path, text := range files {
		if err := put(dir, path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// put writes one file and makes the directories that it needs, regardless of our umask.
func put(dir *os.Root, path, text string, mode os.FileMode) error {
	path = inside(path)
	made := ""
	for name := range strings.SplitSeq(filepath.Dir(path), "/") {
		made = filepath.Join(made, name)
		if dir.Mkdir(made, 0o755) != nil {
			continue // it exists; if not, writing the file fails with an error
		}
		if err := dir.Chmod(made, 0o755); err != nil {
			return err
		}
	}
	if err := dir.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return dir.Chmod(path, mode)
}

// inside makes an absolute path of the machine relative to its root.
func inside(path string) string { return strings.TrimPrefix(filepath.Clean("/"+path), "/") }

func unitPath(unit string) string { return "/etc/systemd/system/" + unit }

// sysusers returns a sysusers.d(5) file with users that may read the journal.
func sysusers(names []string) string {
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "u %s -\nm %s systemd-journal\n", name, name)
	}
	return text.String()
}

func machineID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails, see crypto/rand
	return hex.EncodeToString(id) + "\n"
}
