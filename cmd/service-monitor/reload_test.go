package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"service-monitor/stages/files"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
)

// TestReload reloads several times. Each reload compares with the running configuration, and
// applies the keys that it can. The last line goes to the file that the monitor holds.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file, first, second := filepath.Join(dir, "c.json"), filepath.Join(dir, "first.log"), filepath.Join(dir, "second.log")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure(`{"monitored_services": ["a.service"], "log_file": "` + first + `"}`)
	loaded, err := load([]string{"--config", file}, absent)
	if err != nil {
		t.Fatal(err)
	}
	m := newMonitor(loaded, nil)
	said := logtest.NewLocal(m.log)
	r := newReloader(m)
	const b, other = `"monitored_services": ["b.service"]`, `"persistence_file": "/elsewhere", "audit_interval": 7`
	for _, tt := range []struct {
		name, text string
		services   string
		restart    string // the keys that the log says need a restart
		debug      bool
	}{
		{"nothing", `{"monitored_services": ["a.service"], "log_file": "` + first + `"}`, "a.service", "", false},
		{"another log", `{` + b + `, "debug": true, "log_file": "` + second + `"}`, "b.service", "log_file", true},
		{"the same again", `{` + b + `, "debug": true, "log_file": "` + second + `"}`, "b.service", "log_file", true},
		{"bad", `{"debug": 7}`, "b.service", "", true},
		{"others too", `{` + b + `, ` + other + `, "log_file": "` + second + `"}`, "b.service", "log_file persistence_file audit_interval", false},
		{"back", `{` + b + `, "log_file": "` + first + `"}`, "b.service", "", false},
		{"and away", `{` + b + `, "log_file": "` + second + `"}`, "b.service", "log_file", false},
	} {
		configure(tt.text)
		said.Reset()
		if got := strings.Join(r.reload(), " "); got != tt.services {
			t.Errorf("%s: services %s, want %s", tt.name, got, tt.services)
		}
		var keys []string
		for _, entry := range said.AllEntries() {
			if key, ok := entry.Data["key"].(string); ok && strings.Contains(entry.Message, "when the monitor is restarted") {
				keys = append(keys, key)
			}
		}
		if got := strings.Join(keys, " "); got != tt.restart || m.log.IsLevelEnabled(logrus.DebugLevel) != tt.debug {
			t.Errorf("%s: needs a restart: %q, want %q; debug %v", tt.name, got, tt.restart, !tt.debug)
		}
	}
	if diff := cmp.Diff(loaded.Config, m.running.Config); diff != "" {
		t.Errorf("what runs has changed (-before +after):\n%s", diff)
	}
	m.lastLine(errors.New("bus: gone"))
	if text, err := os.ReadFile(first); err != nil || !strings.HasSuffix(string(text), " - [ERROR] bus: gone\n") {
		t.Errorf("the log that runs ends in %q (%v)", text, err)
	}
	if _, err := os.Stat(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other log: %v, want none", err)
	}
}

// TestCheckReloadOfFiles wants a reload not to be refused for files that a monitor has in use. A start is, and so is a
// reload that names other files.
func TestCheckReloadOfFiles(t *testing.T) {
	noUnit(t)
	for name, change := range map[string]func(log, state string) error{
		"the log":   func(log, _ string) error { return os.Mkdir(log, 0o755) },
		"the state": func(_, state string) error { return os.Mkdir(state, 0o755) },
		"a newer version": func(_, state string) error {
			return os.WriteFile(state, []byte(`{"a.service": {"last_state": "active", "starts": 5, "stops": 4, "crashes": 0, "schema": 7}}`), 0o644)
		},
	} {
		dir := t.TempDir()
		file, log, state := filepath.Join(dir, "c.json"), filepath.Join(dir, "log"), filepath.Join(dir, "state")
		text := fmt.Sprintf(`{"monitored_services": ["a.service"], "log_file": %q, "persistence_file": %q}`, log, state)
		if err := cause(os.WriteFile(file, []byte(text), 0o644), change(log, state)); err != nil {
			t.Fatal(err)
		}
		var start, reload strings.Builder
		if code := run([]string{"check-config", "--config", file}, io.Discard, &start); code == exitOK {
			t.Errorf("%s: a start would succeed", name)
		}
		if code := run([]string{"check-config", "--reload", "--config", file}, io.Discard, io.Discard); code == exitOK {
			t.Errorf("%s: a reload succeeds with a file that nobody has in use", name)
		}
		for _, path := range []string{log, state} {
			lock, err := files.Hold(path)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
		}
		said := "a reload does not need this, but a start would fail: " + strings.TrimPrefix(start.String(), "service-monitor: ")
		if code := run([]string{"check-config", "--reload", "--config", file}, &reload, io.Discard); code != exitOK || !strings.Contains(reload.String(), said) {
			t.Errorf("%s: a reload ends with %d, %q; want 0, %q", name, code, reload.String(), said)
		}
	}
}

// TestCheckReload wants check-config --reload to say the same as a reload of a running monitor.
func TestCheckReload(t *testing.T) {
	noUnit(t)
	file := filepath.Join(t.TempDir(), "c.json")
	good := []byte(`{"monitored_services": ["a.service"]}`)
	for _, tt := range []struct {
		name  string
		make  func() error
		start bool // a start succeeds
		want  string
	}{
		{"there", func() error { return os.WriteFile(file, good, 0o644) }, true, ""},
		{"gone", func() error { return nil }, true, "there is no configuration file " + file + " to read again"},
		{"a link to nothing", func() error { return os.Symlink("nothing", file) }, false, "it is a symbolic link"},
		{"a directory", func() error { return os.Mkdir(file, 0o755) }, false, "it is a directory"},
		{"empty", func() error { return os.WriteFile(file, nil, 0o644) }, false, "the file is empty"},
		{"bad", func() error { return os.WriteFile(file, []byte(`{"debug": 1}`), 0o644) }, false, "debug must be true or false"},
	} {
		os.Remove(file)
		if err := os.WriteFile(file, good, 0o644); err != nil {
			t.Fatal(err)
		}
		running, err := load(nil, file)
		if err == nil {
			err = cause(os.Remove(file), tt.make())
		}
		if err != nil {
			t.Fatal(err)
		}
		_, byMonitor := running.Reload()
		line, err := parse([]string{"check-config", "--reload"}, file)
		if err != nil {
			t.Fatal(err)
		}
		byCheck := line.Command.Run(line, io.Discard)
		if !strings.Contains(message(byMonitor), tt.want) || message(byMonitor) != message(byCheck) || tt.want == "" && byCheck != nil {
			t.Errorf("%s: the monitor says %q, the check %q, want %q", tt.name, message(byMonitor), message(byCheck), tt.want)
		}
		if _, err := load([]string{"check-config"}, file); (err == nil) != tt.start {
			t.Errorf("%s: a start: %v", tt.name, err)
		}
	}
}
