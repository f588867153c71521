package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
)

const absent = "/nonexistent/config.json"

// parse reads a command line. defaultFile is used as the default configuration file.
func parse(args []string, defaultFile string) (cli.Line, error) {
	p := table()
	p.DefaultFile = defaultFile
	return p.Parse(args)
}

// load reads a command line and then the configuration.
func load(args []string, defaultFile string) (config.Loaded, error) {
	line, err := parse(args, defaultFile)
	if err != nil {
		return config.Loaded{}, err
	}
	return line.Load()
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want func(*config.Config)
	}{
		{"none", nil, func(*config.Config) {}},
		{"services", []string{"--services", "a.service", "b.service"}, func(c *config.Config) { c.Services = []string{"a.service", "b.service"} }},
		{"commas", []string{"--services=a.service,b.service"}, func(c *config.Config) { c.Services = []string{"a.service", "b.service"} }},
		{"all ways", []string{"--services", "a.service,b.service", "c.service", "--debug", "d.service", "--services", "e.service", "--", "f.service"}, func(c *config.Config) {
			c.Debug = true
			c.Services = []string{"a.service", "b.service", "c.service", "d.service", "e.service", "f.service"}
		}},
		{"glob", []string{"--services", "wirepas-*.service"}, func(c *config.Config) { c.Services = []string{"wirepas-*.service"} }},
		{"files", []string{"--log-file", "/l/a", "--persistence-file=/p/b"}, func(c *config.Config) { c.Log.File, c.State.File = "/l/a", "/p/b" }},
		{"files, short", []string{"-l", "/l/a", "-p/p/b"}, func(c *config.Config) { c.Log.File, c.State.File = "/l/a", "/p/b" }},
		{"file between services", []string{"--services", "a.service", "-l", "/l/a", "b.service"}, func(c *config.Config) {
			c.Services, c.Log.File = []string{"a.service", "b.service"}, "/l/a"
		}},
		{"last file wins", []string{"-l", "/l/a", "-l", "/l/b"}, func(c *config.Config) { c.Log.File = "/l/b" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := config.Default()
			tt.want(&want)
			line, err := parse(tt.args, absent)
			if err != nil {
				t.Fatal(err)
			}
			c, err := line.Load()
			if diff := cmp.Diff(want, c.Config); err != nil || diff != "" || line.Command.Name != "" || c.Found || c.Source.File != absent {
				t.Errorf("%v, %+v, config (-want +got):\n%s", err, c, diff)
			}
		})
	}
}

// TestParseCommands wants each old flag to do the same as its command.
func TestParseCommands(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
		rest string
	}{
		{"", "", ""}, {"--debug", "", ""}, {"--check --check=false", "", ""},
		{"-h", "help", ""}, {"--help", "help", ""}, {"-v", "version", ""}, {"--version", "version", ""},
		{"-c", "clear", ""}, {"--clear", "clear", ""}, {"-c -l /l/a", "clear", ""}, {"--check", "check-config", ""},
		{"--check-state /s", "check-state", "/s"}, {"--check-state=/s --services a.service", "check-state", "/s"},
		{"--restore-counts", "restore-counts", ""}, {"--restore-counts a.service", "restore-counts", "a.service"},
		{"-c -v -h", "help", ""}, {"-v --check", "version", ""}, {"--check-state /s -v", "version", ""}, {"--restore-counts a.service -v", "version", ""},

		{"check-config", "check-config", ""}, {"check-config --services a.service b.service -l /l --debug", "check-config", ""},
		{"check-state", "check-state", ""}, {"check-state /s", "check-state", "/s"}, {"check-state -p /p", "check-state", ""}, {"check-state -p /p /s", "check-state", "/s"},
		{"clear", "clear", ""}, {"clear -l /l -p /p", "clear", ""},
		{"restore-counts", "restore-counts", ""}, {"restore-counts a.service,b.service c-*.service", "restore-counts", "a.service b.service c-*.service"},
		{"restore-counts a.service --services b.service c.service", "restore-counts", "a.service"}, {"restore-counts -p /p a.service", "restore-counts", "a.service"},
		{"status mosquitto edger.endries a@1.2 b.service", "status", "mosquitto.service edger.endries.service a@1.2.service b.service"},
		{"history edger.* *.service,c", "history", "edger.*.service *.service c.service"}, {"why edger.endries", "why", "edger.endries.service"},
		{"help", "help", ""}, {"help clear", "help", "clear"}, {"clear -h", "help", "clear"}, {"check-state /s --help", "help", "check-state"},
		{"version", "version", ""},
	} {
		line, err := parse(strings.Fields(tt.args), absent)
		if err != nil || line.Command.Name != tt.want || strings.Join(line.Args, " ") != tt.rest {
			t.Errorf("%q: %+v %q (%v), want %s %s", tt.args, line.Command, line.Args, err, tt.want, tt.rest)
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
		{"no file behind the letter", []string{"-p="}, `--persistence-file needs a value: --persistence-file FILE`},
		{"no number behind the letter", []string{"history", "-n="}, `--lines needs a value: --lines N`},
		{"no configuration", []string{"--config", ""}, `--config is empty; name a file`},
		{"directory", []string{"-p", "/var/lib/"}, `--persistence-file "/var/lib/" is a directory; name a file in it`},
		{"two actions", []string{"--clear", "--check"}, `--check and --clear exclude each other; give one of them`},
		{"three actions", []string{"--check-state", "/s", "--clear", "--check"}, `--check and --check-state exclude each other; give one of them`},
		{"to check two things", []string{"--check-state", "/s", "--check"}, `--check and --check-state exclude each other; give one of them`},
		{"to clear what is checked", []string{"--check-state", "/s", "-c"}, `--check-state and --clear exclude each other; give one of them`},
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

		{"command misspelt", []string{"chek-config"}, `unknown command "chek-config"; did you mean check-config?`},
		{"command underscored", []string{"check_state", "/s"}, `unknown command "check_state"; did you mean check-state?`},
		{"command cut short", []string{"restore"}, `unknown command "restore"; did you mean restore-counts?`},
		{"command in capitals", []string{"Clear"}, `unknown command "Clear"; did you mean clear?`},
		{"command by its old flag", []string{"check"}, `unknown command "check"; did you mean check-config?`},
		{"no such command", []string{"frobnicate"}, `unknown command "frobnicate"; service-monitor help lists the commands`},
		{"command of an escape sequence", []string{"\x1b[2J"}, `unknown command "\x1b[2J"; service-monitor help lists the commands`},
		{"command behind a flag", []string{"--debug", "check-config"}, `unexpected argument "check-config"; a command comes first: service-monitor check-config …`},
		{"empty", []string{""}, `unexpected argument ""; name services after --services`},
		{"old flag of a command", []string{"check-config", "--clear"}, `unknown flag "--clear"; service-monitor help check-config lists the flags`},
		{"flag of another command", []string{"clear", "--services", "a.service"}, `unknown flag "--services"; service-monitor help clear lists the flags`},
		{"flag of a command misspelt", []string{"clear", "--log-fiel", "/l"}, `unknown flag "--log-fiel"; did you mean --log-file?`},
		{"too much", []string{"clear", "all"}, `unexpected argument "all"; service-monitor help clear shows what may follow`},
		{"two files", []string{"check-state", "/s", "/t"}, `unexpected argument "/t"; service-monitor help check-state shows what may follow`},
		{"file that is a directory", []string{"check-state", "/var/lib/"}, `the file "/var/lib/" is a directory; name a file in it`},
		{"no unit", []string{"restore-counts", "a.service", "mosquitto"}, `restore-counts entry 2: "mosquitto" does not end in .service; did you mean "mosquitto.service"?`},

		{"another type of unit", []string{"why", "mosquitto.socket"}, `why entry 1: "mosquitto.socket" is not a service; name units that end in .service`},
		{"suffix in capitals", []string{"status", "mosquitto.Service"}, `status entry 1: "mosquitto.Service" does not end in .service; did you mean "mosquitto.service"?`},

		{"one file for two", []string{"-l", "/a", "-p", "/x/../a"}, `log file and persistence file are both /a; give each a file of its own`},
		{"log over configuration", []string{"-l", absent}, `log file and configuration file are both ` + absent + `; give each a file of its own`},
		{"state over configuration", []string{"-p", absent}, `persistence file and configuration file are both ` + absent + `; give each a file of its own`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.args, absent)
			if !errors.Is(err, config.ErrUsage) || errors.Is(err, config.ErrConfig) || message(err) != tt.want {
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
	writeFile(t, filepath.Join(here, "c.json"), `{}`)
	l, err := load([]string{"-l", "a.log", "-p", "./s/b", "--config", "c.json"}, absent)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{l.Config.Log.File, l.Config.State.File, l.Source.File}
	for _, args := range [][]string{{"--check-state", "../s"}, {"check-state", "../s"}} {
		line, err := parse(args, absent)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Args[0])
	}
	above := filepath.Join(here, "../s")
	want := []string{filepath.Join(here, "a.log"), filepath.Join(here, "s/b"), filepath.Join(here, "c.json"), above, above}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRestored wants names to belong to the last flag before them that takes a list.
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
		line, err := parse(strings.Fields(tt.args), absent)
		if err != nil || line.Command.Name != "restore-counts" {
			t.Errorf("%q: %+v (%v)", tt.args, line.Command, err)
			continue
		}
		if tt.services == nil {
			tt.services = config.Default().Services
		}
		if diff := cmp.Diff(tt.restored, line.Args, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: restored (-want +got):\n%s", tt.args, diff)
		}
		if l, err := line.Load(); err != nil || !cmp.Equal(tt.services, l.Config.Services) {
			t.Errorf("%q: services %q (%v), want %q", tt.args, l.Config.Services, err, tt.services)
		}
	}
}

// TestReadsNoFile wants the version, and the check of a named state file, not to depend on the
// configuration file.
func TestReadsNoFile(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"-v --config " + absent, exitOK, "service-monitor " + version},
		{"version", exitOK, "service-monitor " + version},
		{"--check-state /nonexistent/s -p /p --config " + absent, exitNoInput, "/nonexistent/s"},
		{"check-state /nonexistent/s --config " + absent, exitNoInput, "/nonexistent/s"},
		{"check-state -p /nonexistent/s", exitNoInput, "/nonexistent/s"},
		{"check-state --config " + absent, exitConfig, absent},
	} {
		var out bytes.Buffer
		if code := run(strings.Fields(tt.args), &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: exit code %d, %s; want %d, %s", tt.args, code, out.String(), tt.code, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("--services a.service -l /a -p /b --debug")
	f.Add("restore-counts a.service --services b.service -- c")
	f.Add("-clear -x=y --=z --- -- a")
	f.Fuzz(func(t *testing.T, line string) {
		for _, arg := range strings.Fields(line) {
			if strings.HasPrefix(arg, "--conf") {
				t.Skip("reads any file")
			}
		}
		_, err := load(strings.Fields(line), absent)
		if err != nil && !errors.Is(err, config.ErrUsage) || strings.ContainsAny(message(err), "\n\x00\x1b") {
			t.Errorf("%q", err)
		}
	})
}
