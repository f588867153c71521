//go:build booted

package gateway_test

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

func TestRunTellsStatus(t *testing.T) {
	t.Parallel()
	m := gatewaytest.Boot(t, gateway.Options{})
	out, err := m.Run(t.Context(), "sh", "-c", "echo out; echo because >&2; exit 7")
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != 7 || !strings.Contains(err.Error(), "because") || out != "out\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	m := gatewaytest.Boot(t, gateway.Options{})
	check := func(path, want string) {
		t.Helper()
		if got, err := m.ReadFile(path); err != nil || got != want {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"/run/volatile/file", "/var/run/volatile/other", "/var/lib/lasting/file"} {
		if err := m.WriteFile(path, "text of "+path, 0o600); err != nil {
			t.Fatal(err)
		}
		check(path, "text of "+path)
	}
	if _, err := m.ReadFile("/no/such/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
	if _, err := m.Run(t.Context(), "ln", "-s", "/etc/machine-id", "/root/link"); err != nil {
		t.Fatal(err)
	}
	if text, err := m.ReadFile("/root/link"); err == nil {
		t.Errorf("got %q through an absolute link, want an error", text)
	}
	if err := m.PowerOff(); err != nil {
		t.Fatal(err)
	}
	check("/var/lib/lasting/file", "text of /var/lib/lasting/file")
}

// TestCommandIsKilled kills a command by its context. If the command were not reaped, the
// machine could not be switched off in time.
func TestCommandIsKilled(t *testing.T) {
	t.Parallel()
	m := gatewaytest.Boot(t, gateway.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := m.Command(ctx, "sh", "-c", "echo runs; exec sleep infinity")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
}
