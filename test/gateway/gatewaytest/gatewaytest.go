// Package gatewaytest boots gateways for tests.
package gatewaytest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"service-monitor/test/gateway"
)

// System is an environment variable. It names the tree whose systemd is booted if the test does
// not name one. It may be made by debootstrap(8) with --include=systemd,systemd-sysv,dbus.
// Without the variable, the systemd of the host is booted.
const System = "GATEWAY_SYSTEM"

// Boot boots a machine, and closes it when the test and its subtests have ended. It fails the test
// if no machine can be booted: a test that needs a machine must not pass without one.
func Boot(t testing.TB, o gateway.Options) *gateway.Machine {
	t.Helper()
	o.System = cmp.Or(o.System, os.Getenv(System))
	m, err := gateway.Boot(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// Build builds a program of this project for the machines that the tests boot, and returns its file.
// Each user of a machine can run it.
func Build(t testing.TB, name string) string {
	t.Helper()
	arch, err := gateway.Architecture(os.Getenv(System))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for above := dir; above != filepath.Clean(os.TempDir()); above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", file, "service-monitor/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", name, err, out)
	}
	return file
}
