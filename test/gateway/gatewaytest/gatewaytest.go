// Package gatewaytest boots gateways for tests.
package gatewaytest

import (
	"cmp"
	"os"
	"testing"

	"service-monitor/test/gateway"
)

// System is the environment variable that names the tree whose systemd is
// booted, if the test does not say and it is not to be the host's: one made by
// debootstrap(8), for example, with --include=systemd,systemd-sysv,dbus.
const System = "GATEWAY_SYSTEM"

// Boot boots a machine that is closed when the test and its subtests have
// ended. It fails the test where no machine can be booted: a test that needs
// one must not pass without it.
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
