package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExit wants the documented exit code, and a line that says what to do.
func TestExit(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.json", `{"mqtt_broker": "unix://`+dir+`/nobody", "mqtt_gateway": "gw"}`)
	here := " --cursor " + dir + " --config "
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--help", 0, "Usage: service-monitor-mqtt"},
		{"help", 0, "mqtt_scheme             plain, thin-edge or homeassistant (default plain)"},
		{"check --help", 0, "--cursor DIR"},
		{"--version", 0, "service-monitor-mqtt " + version},
		{"publish", 64, `unknown command "publish"; service-monitor-mqtt help lists the commands`},
		{"--brokr x", 64, `unknown flag "--brokr"`},
		{"--curser x", 64, `did you mean --cursor?`},
		{"check --check", 64, `unknown flag "--check"`},
		{"--cursor --check", 64, `--cursor must be followed by a file name, found "--check"`},
		{"--config " + dir + "/none.json", 78, "does not exist"},
		{"check --config " + file("scheme.json", `{"mqtt_scheme": "zigbee"}`), 78,
			`scheme.json:1: mqtt_scheme must be one of plain, thin-edge, homeassistant, found the string "zigbee"`},
		{"check --config " + file("typo.json", "{\n\"mqtt_brokr\": \"x\"}"), 78, `typo.json:2: unknown key "mqtt_brokr"; did you mean "mqtt_broker"?`},
		{"check --config " + file("gateway.json", `{"mqtt_gateway": "a/b"}`), 78, "gateway.json:1: mqtt_gateway "},
		{"check --config " + file("tls.json", `{"mqtt_ca_file": "/ca.pem"}`), 78, "tls.json: mqtt_ca_file is set, but mqtt_broker is "},
		{"check --config " + file("glob.json", `{"mqtt_leave_out": ["a.service", "["]}`), 78, "glob.json:1: mqtt_leave_out entry 2 must be the name of a unit or a glob"},
		{"check" + here + good, 69, dir + "/nobody"},
		{"--check" + here + good, 69, dir + "/nobody"},
		{"clear" + here + good, 69, dir + "/nobody"},
		{"--cursor " + dir + "/none --config " + good, 1, "name a directory of this user with --cursor"},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(tt.args), &out, &errs)
		text := out.String() + errs.String()
		if code != tt.code || !strings.Contains(text, tt.want) || code != 0 && strings.Count(text, "\n") != 1 {
			t.Errorf("%q: %d, want %d with %q: %s", tt.args, code, tt.code, tt.want, text)
		}
	}
}
