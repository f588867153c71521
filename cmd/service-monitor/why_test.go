package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhyOutput asks about a service while no monitor runs.
func TestWhyOutput(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	state := writeHistory(t)
	writeFile(t, state, `{"a.service": {"last_state": "inactive", "last_change_time": "2026-11-27 10:00:00", "starts": 4, "stops": 1, "crashes": 3, "logged_unloaded": false}}`)
	for _, tt := range []struct {
		args string
		code int
		want string // on standard output
	}{
		{"a", exitOK, "Cause     signal 9 (SIGKILL)"},
		{"a.service --json", exitOK, `"explanation":"signal 9 (SIGKILL)`},
		{"a --json --crash 2", exitOK, `"count":3,`},
		{"a --json --crash 4", exitNoUnit, ""},
		{"b --json", exitNoUnit, ""},
		{"a* --json", exitNoUnit, ""},
		{"--json", exitUsage, ""},
	} {
		var out bytes.Buffer
		args := append([]string{"why", "-p", state, "--feed", filepath.Join(t.TempDir(), "feed")}, strings.Fields(tt.args)...)
		if code := run(args, &out, io.Discard); code != tt.code || !strings.Contains(out.String(), tt.want) || tt.want == "" && out.Len() > 0 {
			t.Errorf("%s: exit code %d, %s", tt.args, code, &out)
		}
	}
}
