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
	writeFile(t, state, stateOfA)
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

// Whoever mistypes a name is told the right one.
func TestNoSuchUnit(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	state := writeHistory(t)
	writeFile(t, state, `{"a.service": {"last_state": "inactive"}, "mosquitto.service": {"last_state": "inactive"}}`)
	for args, want := range map[string]string{
		"why mosquito":       "none of the monitored services is called mosquito.service; did you mean mosquitto?\n",
		"status mosquito":    "none of the monitored services is called mosquito.service; did you mean mosquitto?\n",
		"status zzz":         "none of the monitored services is called zzz.service; service-monitor status lists them all\n",
		"history b":          "the history has nothing of b.service; did you mean a?\n",
		"history --json zzz": "the history has nothing of zzz.service; service-monitor status lists them all\n",
		"why a --crash 9":    "the history has no crash 9 of a.service; service-monitor history a.service --crashes lists them\n",
	} {
		var out, errs bytes.Buffer
		code := run(append(strings.Fields(args), "-p", state, "--feed", filepath.Join(t.TempDir(), "feed")), &out, &errs)
		if code != exitNoUnit || errs.String() != "service-monitor: "+want || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, &out, &errs, want)
		}
	}
}
