//go:build booted

package gateway_test

import (
	"context"
	"errors"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// TestReboot follows a service through a shutdown and a power cut.
func TestReboot(t *testing.T) {
	t.Parallel()
	const unit = "lasting.service"
	m := gatewaytest.Boot(t, gateway.Options{Units: map[string]string{
		unit: "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
	}})
	boots := map[string]bool{}
	check := func(want gateway.Tally) {
		t.Helper()
		boot, err := m.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			t.Fatal(err)
		}
		boots[boot] = true
		truth, err := m.Truth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if truth[unit] != want {
			t.Errorf("(-want +got)\n- %+v\n+ %+v", want, truth[unit])
		}
	}
	if _, err := m.Run(t.Context(), "systemctl", "enable", "--now", unit); err != nil {
		t.Fatal(err)
	}
	check(gateway.Tally{Starts: 1, Running: true})
	again(t, m, m.PowerOff)
	check(gateway.Tally{Starts: 2, Stops: 1, Running: true})
	again(t, m, m.PowerCut)
	check(gateway.Tally{Starts: 3, Stops: 2, Cut: 1, Running: true})
	if len(boots) != 3 {
		t.Errorf("got %d boot ids, want 3", len(boots))
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	m := gatewaytest.Boot(t, gateway.Options{Units: map[string]string{
		"fails.service": "[Service]\nExecStart=/bin/sh -c 'exit 9'\n",
	}})
	if _, err := m.Run(t.Context(), "systemctl", "start", "fails"); err != nil {
		t.Fatal(err)
	}
	var got gateway.Tally
	err := m.Await(t.Context(), "fails.service", func(now gateway.Tally) bool { got = now; return now.Crashes > 0 })
	want := gateway.Tally{Starts: 1, Crashes: 1, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 9}}
	if err != nil || got != want {
		t.Errorf("%v (-want +got)\n- %+v\n+ %+v", err, want, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = m.Await(ctx, "fails.service", func(now gateway.Tally) bool {
		if now.Starts > 0 {
			cancel()
		}
		return false
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}
