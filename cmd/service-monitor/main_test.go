package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/files"
)

// TestRun runs the program as a user does, in all ways that need no bus.
func TestRun(t *testing.T) {
	noUnit(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	dir := t.TempDir()
	log, state := filepath.Join(dir, "m.log"), filepath.Join(dir, "s.json")
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"monitored_servces": ["a.service"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	noRetry := filepath.Join(dir, "noretry.json")
	if err := os.WriteFile(noRetry, []byte(`{"max_retries": 0}`), 0o644); err != nil {
		t.Fatal(err)
	}
	files := []string{"-l", log, "-p", state}
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		out    string // standard output contains it
		errors string // standard error contains it, and is one line
	}{
		{"help", []string{"--help"}, exitOK, "mosquitto.service", ""},
		{"version", []string{"-v"}, exitOK, "service-monitor " + version, ""},
		{"check", []string{"--check", "--services", "a.service", "b.service"}, exitOK, "2 services", ""},
		{"check of the shipped configuration", []string{"--check", "--config", "../../debian/config.json"}, exitOK, "12 services", ""},
		{"unknown flag", []string{"--servces", "a.service"}, exitUsage, "", "--services"},
		{"invalid unit name", []string{"--services", "a b.service"}, exitUsage, "", "a b.service"},
		{"unknown key", []string{"--config", bad}, exitConfig, "", "monitored_services"},
		{"no such configuration", []string{"--config", dir + "/none"}, exitConfig, "", dir + "/none"},
		{"log in no directory", []string{"-p", state, "-l", dir + "/none/m.log"}, exitCantCreate, "", dir + "/none/m.log"},
		{"state in no directory", []string{"-l", log, "-p", dir + "/none/s.json"}, exitCantCreate, "", "--persistence-file"},
		{"log is a directory", []string{"-p", state, "-l", dir}, exitCantCreate, "", "regular file"},
		{"no bus", append(files, "--config", noRetry), exitUnavailable, "", "/nonexistent/bus"},
		{"clear", append(files, "-c"), exitOK, "removed", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(tt.args, &out, &errs); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(out.String(), tt.out) {
				t.Errorf("standard output lacks %q:\n%s", tt.out, out.String())
			}
			if lines := strings.Count(errs.String(), "\n"); !strings.Contains(errs.String(), tt.errors) || lines > 1 || tt.errors == "" && lines > 0 {
				t.Errorf("standard error is not one line with %q:\n%s", tt.errors, errs.String())
			}
		})
	}
}

// TestClearNoFile wants what is no file to stay, because no monitor has made it. It makes no difference
// whether a link leads there.
func TestClearNoFile(t *testing.T) {
	for _, flag := range []string{"-l", "-p"} {
		for kind, mk := range map[string]func(string) error{
			"a named pipe": func(path string) error { return unix.Mkfifo(path, 0o600) },
			"a directory":  func(path string) error { return os.Mkdir(path, 0o700) },
			"a socket":     func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
		} {
			for _, name := range []string{"f", "link"} {
				dir := t.TempDir()
				path := filepath.Join(dir, "f")
				if err := cause(mk(path), os.Symlink("f", filepath.Join(dir, "link"))); err != nil {
					t.Fatal(err)
				}
				var out, errs bytes.Buffer
				code := run([]string{"clear", "-l", filepath.Join(dir, "l"), "-p", filepath.Join(dir, "p"), flag, filepath.Join(dir, name)}, &out, &errs)
				if code != exitCantCreate || !strings.Contains(errs.String(), path+" is "+kind) {
					t.Errorf("%s %s, which is %s: exit code %d, %s", flag, name, kind, code, errs.String())
				}
				for _, stays := range []string{"f", "link"} {
					if _, err := os.Lstat(filepath.Join(dir, stays)); err != nil {
						t.Errorf("%s %s, which is %s: %v", flag, name, kind, err)
					}
				}
			}
		}
	}
}

// TestLogSaysWhyItEnded wants the log file to say why the monitor has ended.
func TestLogSaysWhyItEnded(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	dir := t.TempDir()
	log, once := filepath.Join(dir, "m.log"), filepath.Join(dir, "once.json")
	if err := os.WriteFile(once, []byte(`{"max_retries": 0}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	run([]string{"--config", once, "-l", log, "-p", filepath.Join(dir, "s.json")}, &out, &errs)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, " - [ERROR] bus: no system bus: ") {
		t.Errorf("the last line of the log is %q", last)
	}
}

// TestHeldFiles wants another monitor neither to start nor to clear the files while one holds
// them.
func TestHeldFiles(t *testing.T) {
	dir := t.TempDir()
	log, state := filepath.Join(dir, "m.log"), filepath.Join(dir, "s.json")
	for _, held := range []string{log, state} {
		lock, err := files.Hold(held)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-l", log, "-p", state}, {"-l", log, "-p", state, "--clear"}} {
			var out, errs bytes.Buffer
			if code := run(args, &out, &errs); code != exitTempFail || !strings.Contains(errs.String(), held) {
				t.Errorf("%q with %s held: exit code %d, %s", args, held, code, errs.String())
			}
		}
		lock.Close()
	}
}

// TestClearHeldHistory wants clear to remove nothing while a monitor uses the history. Monitors with state files
// in one directory share it.
func TestClearHeldHistory(t *testing.T) {
	dir := t.TempDir()
	log, state, history := filepath.Join(dir, "b.log"), filepath.Join(dir, "b.json"), chronicle.Beside(filepath.Join(dir, "a.json"))
	other, _, err := store.Open(history, store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Append([]store.Record{{Kind: store.Start, Unit: "a.service", Time: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(blackbox.Beside(history), "a.service")
	stay := []string{log, state, box, filepath.Join(history, "0000000001.v1")}
	if err := cause(os.Mkdir(filepath.Dir(box), 0o750), os.WriteFile(box, []byte("[]"), 0o640), os.WriteFile(log, nil, 0o640), os.WriteFile(state, []byte("{}"), 0o640)); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	args := []string{"clear", "-l", log, "-p", state}
	if code := run(args, &out, &errs); code != exitTempFail || !strings.Contains(errs.String(), "cannot clear the history: "+history) {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
	for _, path := range stay {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	other.Close()
	if code := run(args, &out, &errs); code != exitOK {
		t.Errorf("without the other one: exit code %d, %s", code, errs.String())
	}
	for _, path := range append(stay, history) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want none", path, err)
		}
	}
}

// TestNewerState wants a state file of a newer version not to be changed, except by clear. A
// restart cannot help, so systemd must not try again.
func TestNewerState(t *testing.T) {
	dir := t.TempDir()
	log, state := filepath.Join(dir, "m.log"), filepath.Join(dir, "s.json")
	const newer = `{"a.service": {"last_state": "active", "starts": 5, "stops": 5, "crashes": 0, "schema": 7}}`
	if err := os.WriteFile(state, []byte(newer), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run([]string{"-l", log, "-p", state}, &out, &errs)
	if want := state + " was written by a newer version of the monitor: it has schema 7, this version knows schema 1"; code != exitConfig || !strings.Contains(errs.String(), want) {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
	if code := run([]string{"check-config", "-l", log, "-p", state}, &out, &errs); code != exitConfig {
		t.Errorf("check-config: exit code %d, %s", code, errs.String())
	}
	if text, err := os.ReadFile(state); err != nil || string(text) != newer {
		t.Errorf("the file is another one now (%v): %s", err, text)
	}
	if code := run([]string{"-l", log, "-p", state, "--clear"}, &out, &errs); code != exitOK {
		t.Errorf("--clear: exit code %d, %s", code, errs.String())
	}
}

// TestShippedConfigurationIsTheDefault wants the shipped configuration to have the default
// values.
func TestShippedConfigurationIsTheDefault(t *testing.T) {
	shipped, err := load([]string{"--config", "../../debian/config.json"}, absent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), shipped.Config); diff != "" {
		t.Errorf("debian/config.json (-default +shipped):\n%s", diff)
	}
	text, err := os.ReadFile("../../debian/config.json")
	if err != nil || !json.Valid(text) {
		t.Errorf("not JSON (%v)", err)
	}
}

// TestUnitFileAgrees wants systemd to know each exit code of the help by its name, and the
// unit not to restart after an exit code that a restart cannot help.
func TestUnitFileAgrees(t *testing.T) {
	text, err := os.ReadFile("../../systemd/service-monitor.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Type=notify", "RestartPreventExitStatus=USAGE CONFIG", "StateDirectory=" + filepath.Base(filepath.Dir(config.DefaultStateFile)),
		"LogsDirectory=" + filepath.Base(filepath.Dir(config.DefaultLogFile)), "WatchdogSec=30s", "TimeoutStopSec=15s",
		"StartLimitIntervalSec=0", "User=" + unitUser,
		// A reload checks the same options as a start.
		"ExecStart=/usr/bin/service-monitor $MONITOR_OPTIONS", "ExecReload=/usr/bin/service-monitor check-config --reload $MONITOR_OPTIONS",
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the unit file lacks %s", line)
		}
	}
}

// TestOrderAgrees wants the services that are monitored by default to start after the monitor
// and to stop before it.
func TestOrderAgrees(t *testing.T) {
	text, err := os.ReadFile("../../systemd/service-monitor.service.d/order.conf")
	if err != nil {
		t.Fatal(err)
	}
	var before []string
	for line := range strings.Lines(string(text)) {
		if units, ok := strings.CutPrefix(line, "Before="); ok {
			before = append(before, strings.Fields(units)...)
		}
	}
	if diff := cmp.Diff(config.Default().Services, before); diff != "" {
		t.Errorf("order.conf (-default services +ordered):\n%s", diff)
	}
}
