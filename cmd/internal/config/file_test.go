package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/bus"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/feed"
	"service-monitor/stages/logsink"
	"service-monitor/stages/persist"
)

// valid returns a good value for every key.
func valid() map[string]string {
	return map[string]string{
		"monitored_services": `["a.service", "b@*.service"]`,
		"log_file":           `"/l/log"`,
		"persistence_file":   `"/p/state.json"`,
		"stats_interval":     `7`,
		"max_retries":        `0`,
		"debug":              `true`,
		"save_quiet":         `250`,
		"save_deadline":      `2500`,
		"audit_interval":     `8`,
		"fold_after":         `9`,
		"history_size":       `70000`,
		"crash_lines":        `7`,
		"feed":               `"/f/feed"`,
	}
}

func document(members map[string]string) string {
	var lines []string
	for _, r := range new(Config).rows() {
		if raw, ok := members[r.Key]; ok {
			lines = append(lines, `"`+r.Key+`": `+raw)
			delete(members, r.Key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		lines = append(lines, `"`+key+`": `+members[key])
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}\n"
}

func TestDecode(t *testing.T) {
	got, _, err := decode([]byte(document(valid())), Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Services: []string{"a.service", "b@*.service"},
		Debug:    true,
		Log:      logsink.Settings{File: "/l/log", StatsInterval: 7 * time.Second, FoldAfter: 9},
		State:    persist.Settings{File: "/p/state.json", Quiet: 250 * time.Millisecond, Deadline: 2500 * time.Millisecond},
		Bus:      bus.Settings{AuditInterval: 8 * time.Second},
		History:  chronicle.Settings{Size: 70000},
		Crashes:  blackbox.Settings{Lines: 7},
		Feed:     feed.Settings{Socket: "/f/feed"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestDecodeNothing(t *testing.T) {
	got, _, err := decode([]byte(" {}\n"), Default(), nil)
	if diff := cmp.Diff(Default(), got); err != nil || diff != "" {
		t.Errorf("%v, config (-want +got):\n%s", err, diff)
	}
}

func TestDecodeOneKeyChanged(t *testing.T) {
	const knownKeys = "the keys are monitored_services, debug, log_file, stats_interval, fold_after, persistence_file, save_quiet, save_deadline, history_size, crash_lines, feed, max_retries, audit_interval"
	for _, tt := range []struct {
		name, key, raw string
		want           string // empty: accepted
	}{
		{"unknown", "monitord_services", `[]`, `15: unknown key "monitord_services"; did you mean "monitored_services"?`},
		{"unknown by case", "Debug", `true`, `15: unknown key "Debug"; did you mean "debug"?`},
		{"unknown by dash", "max-retries", `1`, `15: unknown key "max-retries"; did you mean "max_retries"?`},
		{"unknown, a flag", "services", `[]`, `15: unknown key "services"; did you mean "monitored_services"?`},
		{"unknown, nothing near", "colour", `1`, `15: unknown key "colour"; ` + knownKeys},
		{"unknown, empty", "", `1`, `15: unknown key ""; ` + knownKeys},
		{"unknown, escape sequence", `\u001b[2J`, `1`, `15: unknown key "\x1b[2J"; ` + knownKeys},

		{"services not a list", "monitored_services", `"a.service"`, `2: monitored_services must be a list of unit names such as ["mosquitto.service"], found the string "a.service"`},
		{"services null", "monitored_services", `null`, `2: monitored_services must be a list of unit names such as ["mosquitto.service"], found null`},
		{"services empty", "monitored_services", `[]`, `2: monitored_services is empty; name at least one unit, or remove the key for the default services`},
		{"service not a string", "monitored_services", "[\n\"a.service\",\n5]", `4: monitored_services entry 2 must be a unit name such as "mosquitto.service", found the number 5`},
		{"service null", "monitored_services", `[null]`, `2: monitored_services entry 1 must be a unit name such as "mosquitto.service", found null`},
		{"service empty", "monitored_services", "[\"a.service\",\n\"\"]", `3: monitored_services entry 2: "" is empty; name a unit such as "mosquitto.service"`},
		{"service without suffix", "monitored_services", `["a.service", "mosquitto"]`, `2: monitored_services entry 2: "mosquitto" does not end in .service; did you mean "mosquitto.service"?`},
		{"service twice", "monitored_services", "[\n\"a.service\",\n\"a.service\"]", `4: monitored_services entry 2: "a.service" is in the list twice; remove one`},

		{"file a number", "log_file", `5`, `4: log_file must be a file name such as "/var/log/service-monitor/service-monitor.log", found the number 5`},
		{"file an object", "persistence_file", `{"a": 1}`, `7: persistence_file must be a file name such as "/var/lib/service_monitor/service_states.json", found an object`},
		{"file empty", "log_file", `""`, `4: log_file is empty; name a file`},
		{"file NUL", "log_file", `"/a\u0000b"`, `4: log_file "/a\x00b" has a NUL character, which no file name has`},
		{"file directory", "persistence_file", `"/var/lib/"`, `7: persistence_file "/var/lib/" is a directory; name a file in it`},
		{"file parent", "persistence_file", `".."`, `7: persistence_file ".." is a directory; name a file in it`},

		{"interval off", "stats_interval", `0`, ``},
		{"interval longest", "stats_interval", `31536000`, ``},
		{"interval too long", "stats_interval", `31536001`, `5: stats_interval must be from 0 to 31536000 seconds, found the number 31536001`},
		{"interval negative", "stats_interval", `-1`, `5: stats_interval must be from 0 to 31536000 seconds, found the number -1`},
		{"interval in quotes", "stats_interval", `"60"`, `5: stats_interval must be a whole number of seconds without quotes, found the string "60"`},
		{"interval a float", "stats_interval", `60.0`, `5: stats_interval must be a whole number of seconds, found the number 60.0`},
		{"interval with exponent", "stats_interval", `6e1`, `5: stats_interval must be a whole number of seconds, found the number 6e1`},
		{"interval true", "stats_interval", `true`, `5: stats_interval must be a whole number of seconds, found true`},
		{"huge", "stats_interval", `99999999999999999999`, `5: stats_interval must be from 0 to 31536000 seconds, found the number 99999999999999999999`},
		{"very huge", "stats_interval", strings.Repeat("9", 400), `5: stats_interval must be from 0 to 31536000 seconds, found a number of 400 characters`},
		{"retries negative", "max_retries", `-3`, `13: max_retries must be from 0 to 1000000, found the number -3`},
		{"retries a list", "max_retries", `[3]`, `13: max_retries must be a whole number, found a list`},
		{"debug in quotes", "debug", `"true"`, `3: debug must be true or false without quotes, found the string "true"`},
		{"debug a number", "debug", `1`, `3: debug must be true or false without quotes, found the number 1`},
		{"quiet zero", "save_quiet", `0`, `8: save_quiet must be from 1 to 31536000000 milliseconds, found the number 0`},
		{"quiet as long as deadline", "save_quiet", `2500`, ``},
		{"quiet longer than deadline", "save_quiet", `2501`, ` save_deadline (2500 ms) is less than save_quiet (2501 ms); raise the one or lower the other`},
		{"deadline longest", "save_deadline", `31536000000`, ``},
		{"deadline shorter than quiet", "save_deadline", `249`, ` save_deadline (249 ms) is less than save_quiet (250 ms); raise the one or lower the other`},
		{"not used", "poll_interval", `100`, ``},
		{"not used, negative", "poll_interval", `-1`, ``},
		{"not used, a string", "poll_interval", `"1s"`, ``},
		{"not used, null", "prometheus_enabled", `null`, ``},
		{"not used, an object", "prometheus_port", `{"a": [1]}`, ``},
		{"not used, of whatever version", "prometheus_bind_address2", `"::"`, ``},
		{"not used, misspelt", "poll_intervall", `1`, `15: unknown key "poll_intervall"; ` + knownKeys},
		{"not used, escape sequence", `prometheus_\u001b[2J`, `1`, `15: unknown key "prometheus_\x1b[2J"; ` + knownKeys},
		{"comment", "_comment", `"gateway 12"`, ``},
		{"comment by slashes", "// why", `["debug", {"debug": 1}]`, ``},
		{"key that is commented out", "_debug", `"maybe"`, ``},
		{"comment, escaped", `\u005fx`, `null`, ``},
		{"comment of no words", "_", `0`, ``},
		{"one slash", "/ why", `1`, `15: unknown key "/ why"; ` + knownKeys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			members := valid()
			members[tt.key] = tt.raw
			if _, _, err := decode([]byte(document(members)), Default(), nil); message(err) != tt.want {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.want, message(err))
			}
		})
	}
}

func TestDecodeText(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "1: the file is empty; write {} for the defaults, or remove it"},
		{"blank", " \n\n", "1: the file is empty; write {} for the defaults, or remove it"},
		{"mark", "\xef\xbb\xbf{}", ""},
		{"mark and blanks", "\xef\xbb\xbf\r\n \t{}\r\n", ""},
		{"mark, then a bad value", "\xef\xbb\xbf{\r\n\"debug\": 1\r\n}\r\n", "2: debug must be true or false without quotes, found the number 1"},
		{"mark alone", "\xef\xbb\xbf", "1: the file is empty; write {} for the defaults, or remove it"},
		{"two marks", "\xef\xbb\xbf\xef\xbb\xbf{}", "1: invalid character 'ï' looking for beginning of value; values are strings in double quotes, numbers, true, false and lists"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "1: the file begins with the byte order mark of UTF-16; save it as UTF-8"},
		{"UTF-16, the other way round", "\xfe\xff\x00{\x00}", "1: the file begins with the byte order mark of UTF-16; save it as UTF-8"},
		{"UTF-16 without mark", "{\x00}\x00", "1: there is a NUL byte; save the file as plain UTF-8 text"},
		{"line ends of DOS", "{\r\n\"debug\": true,\r\n\"max_retries\": 3\r\n}\r\n", ""},
		{"many comments", "{\"_comment\": 1, \"_comment\": 2, \"//\": 3, \"//\": [], \"debug\": true, \"//\": \"debug\"}", ""},
		{"duplicate of what is not used", "{\n\"poll_interval\": 1,\n\"poll_interval\": 1}", `3: the key "poll_interval" is there twice, first in line 2; remove one`},
		{"NUL", "{\n\"debug\":\x00true}", "2: there is a NUL byte; save the file as plain UTF-8 text"},
		{"Latin-1", "{\n\"log_file\": \"/caf\xe9\"}", "2: there are bytes that are not UTF-8; save the file as UTF-8 text"},
		{"list", "[]", "1: the file must hold one object { … }, found a list"},
		{"null", "null\n", "1: the file must hold one object { … }, found null"},
		{"string", `"a"`, `1: the file must hold one object { … }, found the string "a"`},
		{"number", "12", "1: the file must hold one object { … }, found the number 12"},
		{"duplicate", "{\n\"debug\": true,\n\"debug\": true}", `3: the key "debug" is there twice, first in line 2; remove one`},
		{"duplicate by escape", "{\n\"debug\": true,\n\"d\\u0065bug\": true}", `3: the key "debug" is there twice, first in line 2; remove one`},
		{"trailing comma", "{\n\"debug\": true,\n}\n", "3: invalid character '}' looking for beginning of object key string; remove the comma before it"},
		{"trailing comma in list", "{\"monitored_services\": [\n\"a.service\",\n]}", "3: invalid character ']' looking for beginning of value; remove the comma before it"},
		{"missing comma", "{\n\"debug\": true\n\"max_retries\": 3}", "3: invalid character '\"' after object key:value pair; a comma or a } is missing before it"},
		{"missing comma in list", "{\"monitored_services\": [\"a.service\"\n\"b.service\"]}", "2: invalid character '\"' after array element; a comma or a ] is missing before it"},
		{"missing colon", "{\"debug\" true}", "1: invalid character 't' after object key; a colon is missing before it"},
		{"comment", "{\n// why\n\"debug\": true}", "2: invalid character '/' looking for beginning of object key string; comments are not supported; write \"_comment\": \"…\", or remove this one"},
		{"comment after value", "{\n\"debug\": true # why\n}", "2: invalid character '#' after object key:value pair; comments are not supported; write \"_comment\": \"…\", or remove this one"},
		{"single quotes", "{'debug': true}", "1: invalid character '\\'' looking for beginning of object key string; write \" in its place"},
		{"no quotes", "{debug: true}", "1: invalid character 'd' looking for beginning of object key string; write keys in double quotes"},
		{"Python", "{\"debug\": True}", "1: invalid character 'T' looking for beginning of value; values are strings in double quotes, numbers, true, false and lists"},
		{"one backslash", "{\"monitored_services\": [\"a\\x2db.service\"]}", "1: invalid character 'x' in string escape code; write a backslash twice, \\\\"},
		{"open quote", "{\n\"log_file\": \"/a\n}", "2: invalid character '\\n' in string literal; close the string with a quote on its own line"},
		{"open brace", "{\n\"debug\": true\n", "2: unexpected end of JSON input; a quote, a ] or a } is missing"},
		{"more after the object", "{}\n{}", "2: invalid character '{' after top-level value; remove what follows the object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := decode([]byte(tt.text), Default(), nil); message(err) != tt.want {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.want, message(err))
			}
		})
	}
}

// TestDecodeKeepsWhatIsGood wants all values of a bad file that can be read, for the help.
func TestDecodeKeepsWhatIsGood(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"before a bad value", `{"monitored_services": ["a.service"], "debug": 1}`},
		{"after a bad value", `{"debug": 1, "monitored_services": ["a.service"]}`},
		{"before bad syntax", `{"monitored_services": ["a.service"], }`},
		{"before a duplicate", `{"monitored_services": ["a.service"], "monitored_services": ["b.service"]}`},
		{"before what follows", `{"monitored_services": ["a.service"]} x`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := decode([]byte(tt.text), Default(), nil)
			want := Default()
			want.Services = []string{"a.service"}
			if diff := cmp.Diff(want, c); err == nil || diff != "" {
				t.Errorf("%v, config (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestReadRelativeFile wants a relative path to mean the same for every user and in every
// working directory.
func TestReadRelativeFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct{ written, log, state string }{
		{"a.log", "/var/log/service-monitor/a.log", "/var/lib/service_monitor/a.log"},
		{"./x/../a.log", "/var/log/service-monitor/a.log", "/var/lib/service_monitor/a.log"},
		{"sub/a b", "/var/log/service-monitor/sub/a b", "/var/lib/service_monitor/sub/a b"},
		{"../a.log", "/var/log/a.log", "/var/lib/a.log"},
		{"~/a.log", "/var/log/service-monitor/~/a.log", "/var/lib/service_monitor/~/a.log"},
		{"/a.log", "/a.log", "/a.log"},
		{`\/a.log`, "/a.log", "/a.log"},
	} {
		log, _, err := decode([]byte(`{"log_file": "`+tt.written+`"}`), Default(), nil)
		state, _, stateErr := decode([]byte(`{"persistence_file": "`+tt.written+`"}`), Default(), nil)
		if err != nil || stateErr != nil || log.Log.File != tt.log || state.State.File != tt.state {
			t.Errorf("%s: %q (%v), %q (%v), want %q and %q", tt.written, log.Log.File, err, state.State.File, stateErr, tt.log, tt.state)
		}
	}
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	big := write(t, dir, "big.json", `{"log_file": "/`+strings.Repeat("a", maxFile)+`"}`)
	bad := write(t, dir, "bad.json", "{\n\"debgu\": true}")
	odd := write(t, dir, "odd\n name.json", "")
	under := filepath.Join(bad, "x")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	const remedy = "; correct that, or name another file with --config"
	for _, tt := range []struct{ name, file, want string }{
		{"directory", dir, "cannot read the configuration file " + dir + ": it is a directory, not a regular file" + remedy},
		{"named pipe", pipe, "cannot read the configuration file " + pipe + ": it is a named pipe, not a regular file" + remedy},
		{"below a file", under, "cannot read the configuration file " + under + ": not a directory" + remedy},
		{"too big", big, "cannot read the configuration file " + big + ": it has more than 1048576 bytes" + remedy},
		{"bad key", bad, bad + `:2: unknown key "debgu"; did you mean "debug"?`},
		{"odd name", odd, `"` + dir + `/odd\n name.json":1: the file is empty; write {} for the defaults, or remove it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, source, err := read(tt.file, Default(), nil)
			if !source.found || !errors.Is(err, ErrConfig) || errors.Is(err, ErrUsage) || message(err) != tt.want {
				t.Errorf("found %v, message (-want +got):\n-%s\n+%s", source.found, tt.want, message(err))
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(valid())))
	f.Add([]byte(`{"debug": true, "debug": [1, {"a": null}]} x`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add([]byte(`{"_": 1, "_": 2, "prometheus_port": null, "log_file": "a"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := decode(data, Default(), nil)
		if err == nil && !json.Valid(bytes.TrimPrefix(data, []byte(mark))) {
			t.Error("accepted, and not JSON")
		}
		if text := message(err); strings.ContainsAny(text, "\n\x00\x1b") || len(text) > 1000 {
			t.Errorf("not one printable line: %q", text)
		}
		if _, unitErr := CheckUnits(c.Services); unitErr != nil || len(c.Services) == 0 ||
			c.State.Quiet <= 0 || c.Log.StatsInterval < 0 || c.Bus.AuditInterval < 0 || c.Bus.MaxRetries < 0 || c.Log.FoldAfter < 0 || !filepath.IsAbs(c.Log.File) || !filepath.IsAbs(c.State.File) {
			t.Errorf("invalid: %+v", c)
		}
	})
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
