// Package gatewaytest boots gateways for tests.
package gatewaytest

import (
	"cmp"
	"os"
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
