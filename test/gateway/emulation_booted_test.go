//go:build booted

package gateway_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// TestEmulation wants services to start although they have settings that qemu-user cannot
// emulate, because these are turned off. If they are turned on again, the services must not
// start. Otherwise there is no need any more to turn them off.
func TestEmulation(t *testing.T) {
	t.Parallel()
	arch, err := gateway.Architecture(os.Getenv(gatewaytest.System))
	if err != nil {
		t.Fatal(err)
	}
	if arch == runtime.GOARCH {
		t.Skip("nothing is emulated: `make booted-armhf` does that")
	}
	tests := []struct {
		setting string
		status  string // the exit status of a unit for which the setting is turned on again
	}{
		{"SetCredential=key:value", "243"},
		{"PrivateIPC=yes", "226"},
		{"PrivateNetwork=yes", "225"},
		{"PrivateUsers=yes", "217"},
	}
	o := gateway.Options{Units: map[string]string{}, Files: map[string]string{}}
	name := func(setting string) string {
		before, _, _ := strings.Cut(setting, "=")
		return strings.ToLower(before)
	}
	for _, tt := range tests {
		text := "[Service]\nType=oneshot\nExecStart=/bin/true\n" + tt.setting + "\n"
		o.Units[name(tt.setting)+".service"], o.Units[name(tt.setting)+"-on.service"] = text, text
		o.Files["/etc/systemd/system/"+name(tt.setting)+"-on.service.d/on.conf"] = "[Service]\n" + tt.setting + "\n"
	}
	m := gatewaytest.Boot(t, o)
	for _, tt := range tests {
		if _, err := m.Run(t.Context(), "systemctl", "start", name(tt.setting)); err != nil {
			t.Errorf("%s: %v", tt.setting, err)
		}
		got, err := m.Run(t.Context(), "sh", "-c", "systemctl start "+name(tt.setting)+"-on; systemctl show -P ExecMainStatus "+name(tt.setting)+"-on")
		if strings.TrimSpace(got) != tt.status {
			t.Errorf("%s, turned on: got status %q, %v, want %s", tt.setting, got, err, tt.status)
		}
	}
}
