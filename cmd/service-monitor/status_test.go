package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stateOfA = `{"a.service": {"last_state": "inactive", "last_change_time": "2026-11-27 10:00:00", "starts": 4, "stops": 1, "crashes": 3, "logged_unloaded": false}}`

// TestStatusOutput asks how services are while no monitor runs. A name that is not monitored is told,
// although another one is shown.
func TestStatusOutput(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	state := writeHistory(t)
	writeFile(t, state, stateOfA)
	for _, tt := range []struct {
		args       string
		code       int
		want, says string // on standard output, and on standard error
	}{
		{"a", exitAttention, "a ", ""},
		{"a* --json", exitAttention, `"unit":"a.service"`, ""},
		{"a misspelt", exitNoUnit, "a ", "called misspelt.service"},
		{"misspelt a --json", exitNoUnit, `"unit":"a.service"`, "called misspelt.service"},
		{"a b*", exitNoUnit, "a ", "called b*.service"},
		{"b", exitNoUnit, "", "called b.service"},
	} {
		var out, says bytes.Buffer
		args := append([]string{"status", "-p", state, "--feed", filepath.Join(t.TempDir(), "feed")}, strings.Fields(tt.args)...)
		if code := run(args, &out, &says); code != tt.code || !strings.Contains(out.String(), tt.want) || tt.want == "" && out.Len() > 0 ||
			!strings.Contains(says.String(), tt.says) || tt.says == "" && says.Len() > 0 {
			t.Errorf("%s: exit code %d, %s%s", tt.args, code, &out, &says)
		}
	}
}

// TestUnreadable wants everything that asks to have the same exit code for files that cannot be read.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"damaged": "{", "newer": `{"a.service": {"schema": 99}}`, "file": ""} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	for _, tt := range []struct {
		command, state string
		code           int
		says           string
	}{
		{"status", "damaged", exitDataErr, "is damaged"},
		{"why a", "damaged", exitDataErr, "is damaged"},
		{"status", "newer", exitDataErr, "that version can read it"},
		{"status", "", exitNoInput, "not a regular file; start the monitor"},
		{"status", "none", exitNoInput, "there are no files of a monitor"},
		{"status", "file/x", exitNoInput, "not a directory; start the monitor"},
		{"why a", "file/x", exitNoInput, "not a directory; start the monitor"},
		{"history", "file/x", exitNoInput, "not a directory; start the monitor"},
		{"history", "none", exitNoInput, "there is no history"},
	} {
		var says bytes.Buffer
		state := dir + "/" + tt.state
		if tt.state == "" {
			state = filepath.Join(dir, "directory")
			if err := os.Mkdir(state, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		args := append(strings.Fields(tt.command), "-p", state, "--feed", filepath.Join(dir, "feed"))
		if code := run(args, io.Discard, &says); code != tt.code || !strings.Contains(says.String(), tt.says) {
			t.Errorf("%s of %s: exit code %d, %s", tt.command, tt.state, code, &says)
		}
	}
}

// full is an output on which nothing can be written.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFullOutput(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	state := writeHistory(t)
	writeFile(t, state, stateOfA)
	for _, command := range []string{"status", "status --json", "why a", "why a --json", "history", "history --json", "help", "version"} {
		args := strings.Fields(command)
		if args[0] != "help" && args[0] != "version" {
			args = append(args, "-p", state, "--feed", filepath.Join(t.TempDir(), "feed"))
		}
		var says bytes.Buffer
		if code := run(args, full{}, &says); code != exitFailure || !strings.Contains(says.String(), "no space left") {
			t.Errorf("%s: exit code %d, %s", command, code, &says)
		}
	}
}

// TestReportIsThere wants no file to be replaced by a report.
func TestReportIsThere(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	writeFile(t, there, "x")
	if code := run([]string{"report", "-o", there}, io.Discard, io.Discard); code != exitCantCreate {
		t.Errorf("exit code %d", code)
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
}
