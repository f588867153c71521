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

// prefix begins the name of each machine, which is that of its directory too.
const prefix = "service-monitor-gateway-"

// The journal is kept on disk, since a reboot must not lose it, and complete,
// since it is the truth that counts are compared with.
const journald = `[Journal]
Storage=persistent
RateLimitIntervalSec=0
RateLimitBurst=0
`

// bootTarget is what a machine without a display starts.
const bootTarget = "/usr/lib/systemd/system/multi-user.target"

// claim makes the directory of a new machine. Its lock says that we live.
func claim() (*os.File, error) {
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	return lock(path)
}

// sweep removes what processes that were killed have left of their machines.
// It spares what is newer than fresh, which may be about to be locked.
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

// lock opens a directory and locks it, or fails if another process has.
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

// remove deletes a machine's directory, and then gives up its lock.
func remove(dir *os.File) error {
	return errors.Join(os.RemoveAll(dir.Name()), dir.Close())
}

// plant fills the directory root with what systemd needs to boot on it, and
// with what the options ask for.
//
// A machine id means that this is no first boot: systemd-firstboot asks
// nothing, and presets enable nothing. What starts is what the units of the
// system want without being enabled, which is about ten services; and in a
// copy what is enabled there.
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
		// At a random time of the day these hold the lock of apt-get(8).
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

// lay makes a root on which the system's /usr is to be mounted.
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

// duplicate makes a root that is as the system's: a copy, since nothing needs
// to unmount that, which an overlay would ask of each way to the end.
func duplicate(ctx context.Context, system, root string) error {
	if system == "/" {
		return errors.New("cannot copy the host's own system: name another")
	}
	if out, err := exec.CommandContext(ctx, "cp", "--archive", system, root).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot copy %s: %w: %s", system, err, out)
	}
	// debootstrap(8) has put this host's name there.
	return os.RemoveAll(filepath.Join(root, "etc/hostname"))
}

// pausing is a unit file that systemd 247 can stop. There, a unit that is to be
// stopped while it waits for its restart waits once more; and if RestartSec=0,
// PID 1 does that for ever and nothing else (service_enter_restart()).
func pausing(system, text string) string {
	if _, err := os.Stat(filepath.Join(system, "usr/lib/systemd/libsystemd-shared-247.so")); err != nil {
		return text
	}
	return strings.ReplaceAll(text, "RestartSec=0\n", "RestartSec=1ms\n")
}

// links repeats those links of the system's root that lead into /usr: bin,
// lib, lib64 or whatever it has. The dynamic loader is found through them.
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

// mkdir makes directories that everybody in the machine may enter, whatever
// our umask.
func mkdir(root string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o755)); err != nil {
			return err
		}
	}
	return os.Chmod(root, 0o755)
}

// write puts files below root, readable by everybody in the machine.
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

// put writes one file, and the directories that it needs, whatever our umask.
func put(dir *os.Root, path, text string, mode os.FileMode) error {
	path = inside(path)
	made := ""
	for name := range strings.SplitSeq(filepath.Dir(path), "/") {
		made = filepath.Join(made, name)
		if dir.Mkdir(made, 0o755) != nil {
			continue // it is there; or else the file cannot be written, and that will tell
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

// inside turns an absolute path of the machine into one relative to its root.
func inside(path string) string { return strings.TrimPrefix(filepath.Clean("/"+path), "/") }

func unitPath(unit string) string { return "/etc/systemd/system/" + unit }

// sysusers is a sysusers.d(5) file: users that may read the journal.
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
