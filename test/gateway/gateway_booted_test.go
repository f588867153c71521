//go:build booted

package gateway_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// asHelper is set in the environment of a process that [TestDeath] starts and kills.
const asHelper = "GATEWAY_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(asHelper) != "" {
		os.Exit(bootAndWait())
	}
	os.Exit(m.Run())
}

// bootAndWait boots a machine, prints its name and leader, and waits to be killed.
func bootAndWait() int {
	m, err := gateway.Boot(context.Background(), gateway.Options{})
	if err != nil {
		println(err.Error())
		return 1
	}
	_, _ = os.Stdout.WriteString(m.Name() + " " + strconv.Itoa(m.Leader()) + "\n")
	select {}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	host := filepath.Join(t.TempDir(), "bound: yes")
	if err := os.WriteFile(host, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := gatewaytest.Boot(t, gateway.Options{
		Units: map[string]string{"mine.service": "[Service]\nExecStart=/bin/sleep infinity\n", "systemd-user-sessions.service": ""},
		Files: map[string]string{"/opt/deep/in/file": "put here"},
		Binds: map[string]string{"/opt/a: b": host},
		Users: []string{"someone"},
	})
	asSomeone := "setpriv --reuid=someone --regid=someone --init-groups --inh-caps=-all --bounding-set=-all "
	tests := []struct {
		name   string
		script string
		want   string
	}{
		{"all started", "systemctl is-system-running", "running"},
		{"unit installed", "systemctl show -P LoadState mine", "loaded"},
		{"empty unit masked", "systemctl show -P LoadState systemd-user-sessions", "masked"},
		{"logind masked", "systemctl show -P LoadState systemd-logind", "masked"},
		{"file", "cat /opt/deep/in/file", "put here"},
		{"bind", "cat '/opt/a: b'", "of the host"},
		{"bind is read-only", "echo >>'/opt/a: b' || echo refused", "refused"},
		{"usr is read-only", "touch /usr/mine || echo refused", "refused"},
		{"host name", "hostname", m.Name()},
		{"user", asSomeone + "id -un", "someone"},
		{"user may read the journal", asSomeone + "journalctl -q --output=cat _PID=1 | grep -c 'Startup finished'", "1"},
		{"user may walk the file system", asSomeone + "cat /opt/deep/in/file", "put here"},
		{"journal unlimited", "journalctl -q --output=cat | grep -c Suppressed || true", "0"},
		{"nothing of our environment", "env | grep -c '^HOME=' || true", "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := m.Run(t.Context(), "sh", "-ec", tt.script)
			if strings.TrimSpace(got) != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestLogind(t *testing.T) {
	t.Parallel()
	m := gatewaytest.Boot(t, gateway.Options{Logind: true})
	if _, err := m.Run(t.Context(), "systemctl", "is-active", "systemd-logind"); err != nil {
		t.Error(err)
	}
}

// again switches a machine off in the given way, and on again.
func again(t *testing.T, m *gateway.Machine, off func() error) {
	t.Helper()
	if err := off(); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestPowerOffAmidRestarts stops units at any moment of their restart.
func TestPowerOffAmidRestarts(t *testing.T) {
	t.Parallel()
	const loops = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=0\n"
	m := gatewaytest.Boot(t, gateway.Options{Units: map[string]string{"a.service": loops, "b.service": loops, "c.service": loops}})
	for range 3 {
		if _, err := m.Run(t.Context(), "systemctl", "start", "a", "b", "c"); err != nil {
			t.Fatal(err)
		}
		again(t, m, m.PowerOff)
	}
}

// TestSeveral boots several machines at the same time. Each must have its own processes and
// control groups, and none may leave anything behind.
func TestSeveral(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			m, err := gateway.Boot(t.Context(), gateway.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if out, err := m.Run(t.Context(), "systemctl", "is-system-running"); err != nil {
				t.Errorf("got %q, %v, want running", out, err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			checkGone(t, m.Name())
		})
	}
	group.Wait()
}

func TestCancelledBoot(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	m, err := gateway.Boot(ctx, gateway.Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v, want that the time was up", m, err)
	}
}

// TestDeath kills a process that has a machine: the machine ends with it, and
// the next boot removes what is left.
func TestDeath(t *testing.T) {
	t.Parallel()
	helper := exec.Command(os.Args[0])
	helper.Env = append(os.Environ(), asHelper+"=yes")
	helper.Stderr = os.Stderr
	stdout, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, err := stdout.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	name, leader, _ := strings.Cut(strings.TrimSpace(string(buf[:n])), " ")
	gone := watch(t, parent(t, leader)) // systemd-nspawn, which ends last
	if err := helper.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
	gone()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(os.TempDir(), name), old, old); err != nil {
		t.Fatal(err)
	}
	gatewaytest.Boot(t, gateway.Options{})
	checkGone(t, name)
}

// parent returns the parent of a process.
func parent(t *testing.T, pid string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nPPid:")
	line, _, _ := strings.Cut(after, "\n")
	ppid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// watch returns a function that waits for the end of a process that is not a child.
func watch(t *testing.T, pid int) (gone func()) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() {
		t.Helper()
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 {
			t.Fatalf("process %d lives on: %v", pid, err)
		}
	}
}

// checkGone fails the test if anything with the name of the machine is left on this host.
func checkGone(t *testing.T, name string) {
	t.Helper()
	for _, dir := range []string{os.TempDir(), "/sys/fs/cgroup", "/run/systemd/nspawn"} {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Base(path) == name {
				t.Errorf("%s is still there", path)
			}
			return nil // it has vanished meanwhile, so it is not ours
		})
	}
}
