package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile/format"
	"service-monitor/stages/statefile/format/formattest"
)

// counted is a state file as the monitor writes it. It has a service that runs again after a
// crash, and one that systemd does not have.
const counted = `{
  "a.service": {
    "last_state": "active",
    "last_change_time": "2025-07-07 10:15:23",
    "starts": 5,
    "stops": 3,
    "crashes": 2,
    "logged_unloaded": false,
    "restarts": 1,
    "running_when_first_seen": 1,
    "crash_causes": {
      "signal": 2
    },
    "last_crash": {
      "time": "2025-07-07T10:15:22.5+02:00",
      "result": "signal",
      "code": 2,
      "status": 9,
      "invocation": "0102030405060708090a0b0c0d0e0f10"
    },
    "life": {
      "active_state": "active",
      "sub_state": "running",
      "invocation": "1102030405060708090a0b0c0d0e0f10",
      "ran": true
    }
  },
  "b.service": {
    "last_state": "unloaded",
    "last_change_time": "2025-07-07 10:15:23",
    "starts": 0,
    "stops": 0,
    "crashes": 0,
    "logged_unloaded": true,
    "restarts": 0,
    "running_when_first_seen": 0,
    "life": {
      "active_state": "unloaded",
      "sub_state": "dead",
      "ended": true
    }
  }
}
`

// imported is a state file of the Python monitor. Its counts need not balance.
const imported = `{"c.service": {"last_state": "active", "last_change_time": null, "starts": 1, "stops": 7, "crashes": 9, "logged_unloaded": false}}`

// saved is a state file with a checksum.
const saved = `{"a.service": {"last_state": "active", "last_change_time": "", "starts": 5, "stops": 4, "crashes": 0, "logged_unloaded": false,
	"schema": 1, "checksum": "cf99ee0d", "unknown": 0, "restarts": 0, "running_when_first_seen": 0}}`

// edit returns the state file counted with one text replaced.
func edit(old, new string) string { return strings.Replace(counted, old, new, 1) }

// unbalanced returns a state file in which the counts do not balance although no checksum is wrong.
func unbalanced(t *testing.T) string {
	t.Helper()
	a, b := formattest.Running("a.service", 6), formattest.Running("b.service", 7)
	a.Crashes--
	b.Starts++
	var text bytes.Buffer
	if err := format.Encode(&text, map[string]*count.Tally{"a.service": a, "b.service": b}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestCheckState checks state files as a user does, while a monitor holds them.
func TestCheckState(t *testing.T) {
	const (
		edited = "; if it was edited, stop the monitor and undo that; if not, it is an error of the monitor: report it with the file\n"
		broken = "; if it is a state file at all, the monitor keeps a copy of it at its next start, reads what it can, and takes the rest from the generation before\n"
	)
	for _, tt := range []struct {
		name   string
		text   string
		code   int
		out    string
		errors string
	}{
		{"good", counted, exitOK, "s.json: 2 services, all counts balance\n", ""},
		{"times that are not trusted", strings.NewReplacer(
			`"logged_unloaded": false,`, `"logged_unloaded": false, "last_change_untrusted": true,`,
			`2025-07-07 10:15:23`, `1970-01-01 00:01:10`,
			`"time": "2025-07-07T10:15:22.5+02:00",`, `"time": "1970-01-01T00:01:10Z", "untrusted": true, "boot_id": "0102", "monotonic_usec": 70000000,`,
		).Replace(counted), exitOK, "s.json: 2 services, all counts balance\n", ""},
		{"no services", "{}", exitOK, "s.json: 0 services, all counts balance\n", ""},
		{"of the Python monitor", imported, exitOK,
			"s.json: 1 services, of which 0 balance and 1 cannot be checked: not seen by this monitor yet\n", ""},
		{"of both monitors", strings.TrimSuffix(counted, "\n}\n") + "," + imported[1:], exitOK,
			"s.json: 3 services, of which 2 balance and 1 cannot be checked: not seen by this monitor yet\n", ""},
		{"one counter edited as the manual says", edit(`"starts": 5`, `"starts": 6`), exitOK,
			"s.json: \"a.service\": running_when_first_seen is taken for 0, so that the counts balance\ns.json: 2 services, all counts balance\n", ""},
		{"fewer crashes than causes", edit(`"crashes": 2`, `"crashes": 1`), exitDataErr,
			"s.json: \"a.service\": running_when_first_seen is taken for 0, so that the counts balance\n" +
				"s.json: \"a.service\": crash_causes and last_crash do not fit to the counters and are left out\n",
			"s.json: something is wrong with 1 of its records" + broken},
		{"several faults of a monitor", unbalanced(t), exitDataErr,
			"s.json: \"a.service\": crash_causes add up to 2, more than crashes 1\n" +
				"s.json: \"a.service\": starts 6 + running_when_first_seen 0 is not stops 3 + crashes 1 + unknown 0 + 1 running now by life\n" +
				"s.json: \"b.service\": starts 8 + running_when_first_seen 0 is not stops 4 + crashes 2 + unknown 0 + 1 running now by life\n",
			"s.json: 2 of 2 services cannot be right" + edited},
		{"no state", `{"\u001b[2J": {"starts": 1, "stops": 1, "crashes": 0}}`, exitDataErr,
			"s.json: \"\\x1b[2J\": last_state is missing\n", "s.json: 1 of 1 services cannot be right" + edited},
		{"a name that would clear the screen", `{"\u001b[2J": {"starts": 1, "stops": 1}}`, exitDataErr,
			"s.json: \"\\x1b[2J\": crashes is missing\n", "s.json: something is wrong with 1 of its records" + broken},
		{"other forms, comments", strings.NewReplacer(`"starts": 5`, `"starts": "5"`, `"stops": 3`, `"stops": 3.0, "_why": ""`).Replace(counted), exitOK,
			"s.json: \"a.service\": starts is written as \"5\"\ns.json: \"a.service\": stops is written as 3.0\ns.json: 2 services, all counts balance\n", ""},
		{"a bit", strings.Replace(saved, `"starts": 5`, `"starts": 4`, 1), exitDataErr,
			"s.json: \"a.service\": one bit has flipped, from \"5\" to \"4\"; the checksum tells what was written, and that is taken (to change it by hand, remove \"checksum\", too)\n",
			"s.json: something is wrong with 1 of its records" + broken},
		{"edited with its checksum", strings.Replace(saved, `"starts": 5`, `"starts": 77`, 1), exitDataErr,
			"s.json: \"a.service\": the checksum is wrong, so the record was changed or damaged (to change it by hand, stop the monitor, and remove its \"checksum\", too)\n",
			"s.json: something is wrong with 1 of its records" + broken},
		{"saved", saved, exitOK, "s.json: 1 services, of which 0 balance and 1 cannot be checked: not seen by this monitor yet\n", ""},
		{"newer", edit(`"starts": 5`, `"schema": 2, "starts": 5`), exitDataErr, "",
			"state file s.json was written by a newer version of the monitor: it has schema 2, this version knows schema 1 and would lose what is new; " +
				"install the newer version again, or choose another file with --persistence-file, or remove this one with --clear; that version can read it\n"},
		{"empty", "", exitDataErr, "", "state file s.json is damaged: line 1: unexpected end of JSON input" + broken},
		{"cut short", counted[:200], exitDataErr, "s.json: \"a.service\": the record has no end\n", "state file s.json is damaged: line 10: unexpected end of JSON input" + broken},
		{"a configuration", `{"monitored_services": ["a.service"]}`, exitDataErr, "s.json: \"monitored_services\": a list, not a record\n",
			"s.json: something is wrong with 1 of its records" + broken},
		{"a counter that is none", edit(`"starts": 5`, `"starts": -5`), exitDataErr, "s.json: \"a.service\": starts cannot be -5\n",
			"s.json: something is wrong with 1 of its records" + broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o444); err != nil {
				t.Fatal(err)
			}
			lock, err := files.Hold(path)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			wantCheck(t, path, tt.code, tt.out, tt.errors)
			if text, err := os.ReadFile(path); err != nil || string(text) != tt.text {
				t.Errorf("the file is another one now (%v): %s", err, text)
			}
		})
	}
}

// wantCheck checks the state file at path and compares code and output. In them the base name
// stands for path.
func wantCheck(t *testing.T, path string, code int, out, errors string) {
	t.Helper()
	var gotOut, gotErrors bytes.Buffer
	if got := run([]string{"--check-state", path}, &gotOut, &gotErrors); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	short := func(b bytes.Buffer) string { return strings.ReplaceAll(b.String(), path, filepath.Base(path)) }
	if diff := cmp.Diff(out, short(gotOut)); diff != "" {
		t.Errorf("standard output (-want +got):\n%s", diff)
	}
	if errors != "" {
		errors = "service-monitor: " + errors
	}
	if diff := cmp.Diff(errors, short(gotErrors)); diff != "" {
		t.Errorf("standard error (-want +got):\n%s", diff)
	}
}

// TestCheckStateOfNothing checks paths that cannot be read. The check must not make any file.
func TestCheckStateOfNothing(t *testing.T) {
	const remedy = "; name a state file that is there and may be read\n"
	dir := t.TempDir()
	wantCheck(t, filepath.Join(dir, "none.json"), exitNoInput, "", "there is no state file none.json"+remedy)
	wantCheck(t, dir, exitNoInput, "", "cannot read state: open "+filepath.Base(dir)+": it is a directory, not a regular file"+remedy)
	wantCheck(t, filepath.Join(dir, "none/s.json"), exitNoInput, "", "there is no state file s.json"+remedy)
	loop := filepath.Join(dir, "loop.json")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, loop, exitNoInput, "", "cannot read state: open loop.json: too many levels of symbolic links"+remedy)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left in the directory: %v (%v)", left, err)
	}
}
