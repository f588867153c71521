package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// over returns the overrides of these flags.
func over(flags string) []Override {
	puts := map[string]func(*Config){
		"services":         func(c *Config) { c.Services = []string{"x.service"} },
		"log-file":         func(c *Config) { c.Log.File = "/x/l" },
		"persistence-file": func(c *Config) { c.State.File = "/x/p" },
		"debug":            func(c *Config) { c.Debug = true },
	}
	var all []Override
	for _, flag := range strings.Fields(flags) {
		all = append(all, Override{flag, puts[flag]})
	}
	return all
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "config.json", `{"log_file": "/a", "persistence_file": "/a"}`)
	same := write(t, dir, "same.json", `{"log_file": "/x/p"}`)
	for _, tt := range []struct {
		name   string
		source Source
		kind   error
		want   string
	}{
		{"no such file", Source{File: dir + "/x", Named: true}, ErrConfig, "the configuration file " + dir + "/x does not exist; create it, or leave out --config for " + DefaultFile},
		{"one file for two", Source{File: file}, ErrConfig, file + ": log file and persistence file are both /a; give each a file of its own"},
		{"one file for two, by a flag", Source{File: same, Overrides: over("persistence-file")}, ErrUsage, "log file and persistence file are both /x/p; give each a file of its own"},
		{"log over configuration", Source{File: "/x/l", Overrides: over("log-file")}, ErrUsage, "log file and configuration file are both /x/l; give each a file of its own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(tt.source)
			if !errors.Is(err, tt.kind) || message(err) != tt.want {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.want, message(err))
			}
		})
	}
}

func TestFlagsWinOverFile(t *testing.T) {
	file := write(t, t.TempDir(), "config.json", document(valid()))
	l, err := Load(Source{File: file, Overrides: over("services log-file debug")})
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := decode([]byte(document(valid())), Default(), nil)
	want.Services, want.Log.File, want.Debug = []string{"x.service"}, "/x/l", true
	if diff := cmp.Diff(want, l.Config); diff != "" || !l.Found {
		t.Errorf("found %v, config (-want +got):\n%s", l.Found, diff)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "config.json", `{"max_retries": 1, "debug": false}`)
	before, err := Load(Source{File: file, Overrides: over("debug")})
	if err != nil {
		t.Fatal(err)
	}

	write(t, dir, "config.json", `{"max_retries": 2, "debug": false}`)
	after, err := before.Reload()
	if err != nil || after.Config.Bus.MaxRetries != 2 || !after.Config.Debug {
		t.Errorf("%v, %+v", err, after.Config)
	}
	if before.Config.Bus.MaxRetries != 1 {
		t.Errorf("what was read before has changed: %+v", before.Config)
	}

	write(t, dir, "config.json", `{"max_retries": 5, "debug": 7}`)
	kept, err := after.Reload()
	if want := file + ":1: debug must be true or false without quotes, found the number 7"; message(err) != want {
		t.Errorf("message (-want +got):\n-%s\n+%s", want, message(err))
	}
	if diff := cmp.Diff(after.Config, kept.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	kept, err = after.Reload()
	want := "there is no configuration file " + file + " to read again; put it there, or restart the monitor for the defaults"
	if diff := cmp.Diff(after.Config, kept.Config); diff != "" || !errors.Is(err, ErrConfig) || message(err) != want {
		t.Errorf("%v, config (-want +got):\n%s", err, diff)
	}
}

// TestReloadNewFile wants a reload to read a file that did not exist before.
func TestReloadNewFile(t *testing.T) {
	dir := t.TempDir()
	l, err := Load(Source{File: filepath.Join(dir, "config.json")})
	if err != nil || l.Found {
		t.Fatalf("%v, %+v", err, l)
	}
	write(t, dir, "config.json", `{"max_retries": 2}`)
	if l, err = l.Reload(); err != nil || l.Config.Bus.MaxRetries != 2 || !l.Found {
		t.Errorf("%v, %+v", err, l)
	}
}

// TestOrigin tests Origin, StartsAt and Unused, also for a file of the Python monitor.
func TestOrigin(t *testing.T) {
	file := write(t, t.TempDir(), "config.json", `{
  "monitored_services": ["a.service"],
  "prometheus_port": 9100,
  "log_file": "systemd_monitor.log",
  "persistence_file": "/s",
  "_poll_interval": 5,
  "poll_interval": 100
}`)
	for _, tt := range []struct {
		flags, file                             string
		log, logStarts, state, stateStarts, not string
	}{
		{"", file, file + ":4: log_file", "/var/log/service-monitor", file + ":5: persistence_file", "", "prometheus_port poll_interval"},
		{"log-file persistence-file", file, "--log-file", "", "--persistence-file", "", "prometheus_port poll_interval"},
		{"persistence-file", "/nonexistent/config.json", "the default log_file", "", "--persistence-file", "", ""},
	} {
		l, err := Load(Source{File: tt.file, Overrides: over(tt.flags)})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{l.Origin(LogFileKey), l.StartsAt(LogFileKey), l.Origin(StateFileKey), l.StartsAt(StateFileKey), strings.Join(l.Unused, " ")}
		if diff := cmp.Diff([]string{tt.log, tt.logStarts, tt.state, tt.stateStarts, tt.not}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.flags, diff)
		}
	}
}
