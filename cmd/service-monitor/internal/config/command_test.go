package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const absent = "/nonexistent/config.json"

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want func(*Config)
	}{
		{"none", nil, func(*Config) {}},
		{"services", []string{"--services", "a.service", "b.service"}, func(c *Config) { c.Services = []string{"a.service", "b.service"} }},
		{"commas", []string{"--services=a.service,b.service"}, func(c *Config) { c.Services = []string{"a.service", "b.service"} }},
		{"all ways", []string{"--services", "a.service,b.service", "c.service", "--debug", "d.service", "--services", "e.service", "--", "f.service"}, func(c *Config) {
			c.Debug = true
			c.Services = []string{"a.service", "b.service", "c.service", "d.service", "e.service", "f.service"}
		}},
		{"glob", []string{"--services", "wirepas-*.service"}, func(c *Config) { c.Services = []string{"wirepas-*.service"} }},
		{"files", []string{"--log-file", "/l/a", "--persistence-file=/p/b"}, func(c *Config) { c.Log.File, c.State.File = "/l/a", "/p/b" }},
		{"files, short", []string{"-l", "/l/a", "-p/p/b"}, func(c *Config) { c.Log.File, c.State.File = "/l/a", "/p/b" }},
		{"file between services", []string{"--services", "a.service", "-l", "/l/a", "b.service"}, func(c *Config) {
			c.Services, c.Log.File = []string{"a.service", "b.service"}, "/l/a"
		}},
		{"last file wins", []string{"-l", "/l/a", "-l", "/l/b"}, func(c *Config) { c.Log.File = "/l/b" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Default()
			tt.want(&want)
			c, err := parse(tt.args, absent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, c.Config); diff != "" || c.Action != Run || c.FileFound || c.ConfigFile != absent {
				t.Errorf("%+v, config (-want +got):\n%s", c, diff)
			}
		})
	}
}

func TestParseActions(t *testing.T) {
	for _, tt := range []struct {
		args string
		want Action
	}{
		{"", Run}, {"--debug", Run},
		{"-h", Help}, {"--help", Help}, {"-v", Version}, {"--version", Version},
		{"-c", Clear}, {"--clear", Clear}, {"--check", Check},
		{"--check-state /s", CheckState}, {"--check-state=/s --services a.service", CheckState}, {"--check-state /s -v", Version},
		{"-c -v -h", Help}, {"-v --check", Version}, {"-c -l /l/a", Clear}, {"--restore-counts", Restore}, {"--restore-counts a.service -v", Version}, {"--check --check=false", Run},
	} {
		if c, err := parse(strings.Fields(tt.args), absent); err != nil || c.Action != tt.want {
			t.Errorf("%q: action %v, want %v (%v)", tt.args, c.Action, tt.want, err)
		}
	}
}

func TestParseUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown", []string{"--servces", "a.service"}, `unknown flag "--servces"; did you mean --services?`},
		{"underscore", []string{"--log_file=/a"}, `unknown flag "--log_file"; did you mean --log-file?`},
		{"key of the file", []string{"--monitored_services", "a"}, `unknown flag "--monitored_services"; did you mean --services?`},
		{"nothing near", []string{"--foo"}, `unknown flag "--foo"; --help lists the flags`},
		{"short", []string{"-x"}, `unknown flag "-x"; --help lists the flags`},
		{"short capital", []string{"-H"}, `unknown flag "-H"; did you mean -h?`},
		{"short not ASCII", []string{"-é"}, `unknown flag "-é"; --help lists the flags`},
		{"-clear is not -c -l ear", []string{"-clear"}, `unknown flag "-clear"; did you mean --clear?`},
		{"-log-file is not -l og-file", []string{"-log-file=/a"}, `unknown flag "-log-file"; did you mean --log-file?`},
		{"short not UTF-8, which pflag takes for Latin-1", []string{"-\xff"}, `unknown flag "-ÿ"; --help lists the flags`},
		{"long not UTF-8", []string{"--\xff"}, `unknown flag "--\xff"; --help lists the flags`},
		{"run together", []string{"-cl", "/a"}, `unknown flag "-cl"; --help lists the flags`},
		{"of go test", []string{"-test.v"}, `unknown flag "-test.v"; --help lists the flags`},
		{"three dashes", []string{"---debug"}, `unknown flag "---debug"; did you mean --debug?`},
		{"escape sequence", []string{"--\x1b[2J"}, `unknown flag "--\x1b[2J"; --help lists the flags`},
		{"positional", []string{"a.service"}, `unexpected argument "a.service"; name services after --services`},
		{"positional before services", []string{"a.service", "--services", "b.service"}, `unexpected argument "a.service"; name services after --services`},
		{"positional after dashes", []string{"--", "a.service"}, `unexpected argument "a.service"; name services after --services`},
		{"services without value", []string{"--services"}, `--services needs a value: --services A B C`},
		{"file without value", []string{"-l"}, `--log-file needs a value: --log-file FILE`},
		{"services and a flag", []string{"--services", "--debug"}, `--services must be followed by a unit name, found "--debug"`},
		{"file and a flag", []string{"-l", "--debug"}, `--log-file must be followed by a file name, found "--debug"; write ./--debug if that is its name`},
		{"debug with value", []string{"--debug=maybe"}, `--debug is true, false or without value, found "maybe"`},
		{"no service", []string{"--services="}, `--services entry 1: "" is empty; name a unit such as "mosquitto.service"`},
		{"empty service", []string{"--services", "a.service,", "b.service"}, `--services entry 2: "" is empty; name a unit such as "mosquitto.service"`},
		{"no suffix", []string{"--services", "a.service", "mosquitto"}, `--services entry 2: "mosquitto" does not end in .service; did you mean "mosquitto.service"?`},
		{"service twice", []string{"--services", "a.service", "--services", "a.service"}, `--services entry 2: "a.service" is in the list twice; remove one`},
		{"no file", []string{"--persistence-file="}, `--persistence-file is empty; name a file`},
		{"no configuration", []string{"--config", ""}, `--config is empty; name a file`},
		{"directory", []string{"-p", "/var/lib/"}, `--persistence-file "/var/lib/" is a directory; name a file in it`},
		{"two actions", []string{"--clear", "--check"}, `--clear and --check exclude each other; give one of them`},
		{"three actions", []string{"--check-state", "/s", "--clear", "--check"}, `--clear and --check exclude each other; give one of them`},
		{"to check two things", []string{"--check-state", "/s", "--check"}, `--check and --check-state exclude each other; give one of them`},
		{"to clear what is checked", []string{"--check-state", "/s", "-c"}, `--clear and --check-state exclude each other; give one of them`},
		{"to check and to restore", []string{"--restore-counts", "--check"}, `--check and --restore-counts exclude each other; give one of them`},
		{"to restore no unit", []string{"--restore-counts", "a.service", "mosquitto"}, `--restore-counts entry 2: "mosquitto" does not end in .service; did you mean "mosquitto.service"?`},
		{"nothing to check", []string{"--check-state"}, `--check-state needs a value: --check-state FILE`},
		{"check of no file", []string{"--check-state="}, `--check-state is empty; name a file`},
		{"check of a flag", []string{"--check-state", "-p"}, `--check-state must be followed by a file name, found "-p"; write ./-p if that is its name`},
		{"check of a directory", []string{"--check-state", "/var/lib/"}, `--check-state "/var/lib/" is a directory; name a file in it`},
		{"check of two files", []string{"--check-state", "/s", "/t"}, `unexpected argument "/t"; name services after --services`},
		{"check cut short", []string{"--check-stat", "/s"}, `unknown flag "--check-stat"; did you mean --check-state?`},
		{"check run together", []string{"--checkstate", "/s"}, `unknown flag "--checkstate"; did you mean --check-state?`},
		{"a shorter one cut short", []string{"--chec"}, `unknown flag "--chec"; did you mean --check?`},
		{"check misspelt", []string{"--chek-state", "/s"}, `unknown flag "--chek-state"; did you mean --check-state?`},
		{"check underscored", []string{"--check_state", "/s"}, `unknown flag "--check_state"; did you mean --check-state?`},
		{"one file for two", []string{"-l", "/a", "-p", "/x/../a"}, `log file and persistence file are both /a; give each a file of its own`},
		{"log over configuration", []string{"-l", absent}, `log file and configuration file are both ` + absent + `; give each a file of its own`},
		{"state over configuration", []string{"-p", absent}, `persistence file and configuration file are both ` + absent + `; give each a file of its own`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.args, absent)
			if !errors.Is(err, ErrUsage) || errors.Is(err, ErrConfig) || message(err) != tt.want {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.want, message(err))
			}
		})
	}
}

func TestParseConfigErrors(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "config.json", `{"log_file": "/a", "persistence_file": "/a"}`)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no such file", []string{"--config", dir + "/x"}, "the configuration file " + dir + "/x does not exist; create it, or leave out --config for " + absent},
		{"not even the default, if named", []string{"--config", absent}, "the configuration file " + absent + " does not exist; create it, or leave out --config for " + absent},
		{"one file for two", []string{"--config", file}, file + ": log file and persistence file are both /a; give each a file of its own"},
		{"to clear too", []string{"--clear", "--config", file}, file + ": log file and persistence file are both /a; give each a file of its own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.args, absent)
			if !errors.Is(err, ErrConfig) || errors.Is(err, ErrUsage) || message(err) != tt.want {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.want, message(err))
			}
		})
	}
}

func TestParseRelativeFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	write(t, here, "c.json", `{}`)
	c, err := parse([]string{"-l", "a.log", "-p", "./s/b", "--config", "c.json"}, absent)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := parse([]string{"--check-state", "../s"}, absent)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Config.Log.File, c.Config.State.File, c.ConfigFile, checked.Config.State.File}
	want := []string{filepath.Join(here, "a.log"), filepath.Join(here, "s/b"), filepath.Join(here, "c.json"), filepath.Join(here, "../s")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFlagsWinOverFile(t *testing.T) {
	file := write(t, t.TempDir(), "config.json", document(valid()))
	args := []string{"--services", "x.service", "-l", "/x/l", "--debug=false"}
	c, err := parse(args, file)
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := decode([]byte(document(valid())), Default())
	want.Services, want.Log.File, want.Debug = []string{"x.service"}, "/x/l", false
	if diff := cmp.Diff(want, c.Config); diff != "" || !c.FileFound {
		t.Errorf("found %v, config (-want +got):\n%s", c.FileFound, diff)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "config.json", `{"max_retries": 1, "debug": false}`)
	before, err := parse([]string{"--debug"}, file)
	if err != nil {
		t.Fatal(err)
	}

	write(t, dir, "config.json", `{"max_retries": 2, "debug": false}`)
	after, err := before.Load()
	if err != nil || after.Config.Bus.MaxRetries != 2 || !after.Config.Debug {
		t.Errorf("%v, %+v", err, after.Config)
	}
	if before.Config.Bus.MaxRetries != 1 {
		t.Errorf("the command before has changed: %+v", before.Config)
	}

	write(t, dir, "config.json", `{"max_retries": 5, "debug": 7}`)
	kept, err := after.Load()
	if want := file + ":1: debug must be true or false without quotes, found the number 7"; message(err) != want {
		t.Errorf("message (-want +got):\n-%s\n+%s", want, message(err))
	}
	if diff := cmp.Diff(after.Config, kept.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	kept, err = after.Load()
	want := "the configuration file " + file + " has gone; put it back, or restart the monitor for the defaults"
	if diff := cmp.Diff(after.Config, kept.Config); diff != "" || !errors.Is(err, ErrConfig) || message(err) != want {
		t.Errorf("%v, config (-want +got):\n%s", err, diff)
	}
}

// Origin, StartsAt and Unused are what is said of a file, of the Python monitor too.
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
		args, defaultFile                       string
		log, logStarts, state, stateStarts, not string
	}{
		{"", file, file + ":4: log_file", "/var/log/service-monitor", file + ":5: persistence_file", "", "prometheus_port poll_interval"},
		{"-l x -p y", file, "--log-file", "", "--persistence-file", "", "prometheus_port poll_interval"},
		{"-p y", absent, "the default log_file", "", "--persistence-file", "", ""},
	} {
		c, err := parse(strings.Fields(tt.args), tt.defaultFile)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{c.Origin(LogFileKey), c.StartsAt(LogFileKey), c.Origin(StateFileKey), c.StartsAt(StateFileKey), strings.Join(c.Unused, " ")}
		if diff := cmp.Diff([]string{tt.log, tt.logStarts, tt.state, tt.stateStarts, tt.not}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
}

// A file that comes to be where there was none is read.
func TestLoadNewFile(t *testing.T) {
	dir := t.TempDir()
	c, err := parse(nil, filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "config.json", `{"max_retries": 2}`)
	if c, err = c.Load(); err != nil || c.Config.Bus.MaxRetries != 2 || !c.FileFound {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestUsage(t *testing.T) {
	text := usage(t, absent, "--help")
	var want []string
	for _, r := range new(Config).rows() {
		want = append(want, fmt.Sprintf("\n  %-18s  %s\n", r.Key, r.Line()))
	}
	for _, code := range []int{ExitOK, ExitFailure, ExitUsage, ExitDataErr, ExitNoInput, ExitUnavailable, ExitCantCreate, ExitTempFail, ExitConfig} {
		want = append(want, fmt.Sprintf("\n  %2d  ", code))
	}
	want = append(want, "A reload takes monitored_services and debug; the other keys need a restart.\n", "-h, --help", "-v, --version", "-c, --clear", "-l, --log-file FILE", "-p, --persistence-file FILE",
		"--config FILE", "--services A B C", "--debug", "--check ", "--check-state FILE", "--restore-counts [A B C]", "SIGHUP", "SIGTERM", "SIGINT",
		unusedKeys, "comments", "at the directory of the default file",
		DefaultLogFile, DefaultStateFile, absent, "Monitored services:\n  "+strings.Join(Default().Services, "\n  ")+"\n")
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("the help lacks %q", part)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 || strings.TrimRight(line, " \n")+"\n" != line {
			t.Errorf("too wide, or blanks at its end: %q", line)
		}
	}
}

func TestUsageShowsWhatIsInForce(t *testing.T) {
	file := write(t, t.TempDir(), "config.json", `{"monitored_services": ["x.service"], "log_file": "/x/l"}`)
	for _, tt := range []struct{ name, args, want string }{
		{"file", "-h", "Monitored services:\n  x.service\n"},
		{"flags", "-h --services y.service", "Monitored services:\n  y.service\n"},
		{"log file", "-h", "log            /x/l\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text := usage(t, file, strings.Fields(tt.args)...); !strings.Contains(text, tt.want) {
				t.Errorf("the help lacks %q:\n%s", tt.want, text)
			}
		})
	}
}

func TestUsageWithBadFile(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "config.json", "{\"monitored_services\": [\"x.service\"],\n\"debug\": 5}")
	want := "\nThe monitor does not start with this configuration:\n  " + file +
		":2: debug must be true or false without quotes, found the number 5\n" +
		"Services as far as the configuration can be read:\n  x.service\n"
	if text := usage(t, file, "-h"); !strings.HasSuffix(text, want) {
		t.Errorf("the help does not end in %q:\n%s", want, text)
	}
	if text := usage(t, file, "-h", "--config", dir+"/x"); !strings.Contains(text, "x does not exist; create it") {
		t.Errorf("the help does not say that the file is absent:\n%s", text)
	}
}

// Version is shown, and a state file checked, whatever the file is like.
func TestReadsNoFile(t *testing.T) {
	if c, err := parse([]string{"-v", "--config", absent}, absent); err != nil || c.Action != Version {
		t.Errorf("%v, %+v", err, c)
	}
	c, err := parse([]string{"--check-state", "/s", "-p", "/p", "--config", absent}, absent)
	if err != nil || c.Action != CheckState || c.Config.State.File != "/s" {
		t.Errorf("%v, %+v", err, c)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("--services a.service -l /a -p /b --debug")
	f.Add("-clear -x=y --=z --- -- a")
	f.Fuzz(func(t *testing.T, line string) {
		for _, arg := range strings.Fields(line) {
			if strings.HasPrefix(arg, "--conf") {
				t.Skip("reads any file")
			}
		}
		_, err := parse(strings.Fields(line), absent)
		if err != nil && !errors.Is(err, ErrUsage) || strings.ContainsAny(message(err), "\n\x00\x1b") {
			t.Errorf("%q", err)
		}
	})
}

func usage(t *testing.T, defaultFile string, args ...string) string {
	t.Helper()
	c, err := parse(args, defaultFile)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Usage(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Names belong to the list that was named last.
func TestRestored(t *testing.T) {
	for _, tt := range []struct {
		args               string
		restored, services []string
	}{
		{"--restore-counts", nil, nil},
		{"--restore-counts a.service b-*.service", []string{"a.service", "b-*.service"}, nil},
		{"--restore-counts=a.service,b.service c.service -p /s", []string{"a.service", "b.service", "c.service"}, nil},
		{"--restore-counts -p /s a.service", []string{"a.service"}, nil},
		{"--restore-counts a.service --services b.service c.service", []string{"a.service"}, []string{"b.service", "c.service"}},
		{"--services b.service --restore-counts a.service", []string{"a.service"}, []string{"b.service"}},
		{"--services b.service --restore-counts --debug", nil, []string{"b.service"}},
	} {
		c, err := parse(strings.Fields(tt.args), absent)
		if err != nil || c.Action != Restore {
			t.Errorf("%q: action %v (%v)", tt.args, c.Action, err)
			continue
		}
		if tt.services == nil {
			tt.services = Default().Services
		}
		if diff := cmp.Diff(tt.restored, c.Restored, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: restored (-want +got):\n%s", tt.args, diff)
		}
		if diff := cmp.Diff(tt.services, c.Config.Services); diff != "" {
			t.Errorf("%q: services (-want +got):\n%s", tt.args, diff)
		}
	}
}
