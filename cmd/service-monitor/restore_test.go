package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/files"
)

// TestRestoreCounts restores counts as a user does after a typo in the list of services.
func TestRestoreCounts(t *testing.T) {
	dropped := strings.Replace(counted, `"restarts": 1,`, `"restarts": 1, "dropped": true,`, 1)
	without := strings.Replace(counted, `"a.service"`, `"c.service"`, 1)
	again := strings.NewReplacer(`"starts": 5`, `"starts": 2`, `"stops": 3`, `"stops": 2`, `"crashes": 2`, `"crashes": 0`,
		`"restarts": 1`, `"restarts": 0`, `"crash_causes": {`, `"x": {`, `"last_crash"`, `"y"`).Replace(counted)
	const (
		back   = `"a.service": starts 5, stops 3, crashes 2, restarts 1 put back from s.json.before-removal`
		listed = " --services a.service"
	)
	for _, tt := range []struct {
		name        string
		state, copy string
		args        string
		code        int
		out, errors string
	}{
		{"put back", without, dropped, listed, exitOK, back + "\n", ""},
		{"of an earlier version", without, counted, listed, exitOK, back + "\n", ""},
		{"by name", without, dropped, " a.service" + listed, exitOK, back + "\n", ""},
		{"by a glob", without, dropped, " a*.service" + listed, exitOK, back + "\n", ""},
		{"added", again, dropped, listed, exitOK,
			back + ", and added to what was counted since: starts 7, stops 5, crashes 2, restarts 1\n", ""},
		{"there already", strings.Replace(counted, `"restarts": 1,`, `"restarts": 1, "restored": true,`, 1), dropped, listed, exitOK,
			`"a.service": nothing to put back; its counts have all that was dropped: starts 5, stops 3, crashes 2, restarts 1` + "\n", ""},
		{"not in the list", without, dropped, "", exitOK,
			back + "\n" + `"a.service": it is not in the list of services; name it there, or the monitor removes it again at its next start` + "\n", ""},
		{"nothing", counted, counted, "", exitOK,
			"nothing to put back: no copy beside s.json has counts of a service that was dropped\n", ""},
		{"not there", without, dropped, " b.service x.service", exitNoInput, "",
			`no copy beside s.json has dropped counts of "b.service", "x.service"; ` +
				"the copies that end in .before-removal, and in .1 to .4 behind that, have what can be put back\n"},
		{"no copies", counted, "", "", exitOK,
			"nothing to put back: no copy beside s.json has counts of a service that was dropped\n", ""},
		{"newer", edit(`"starts": 5`, `"schema": 2, "starts": 5`), dropped, "", exitConfig, "",
			"cannot restore counts in the state file: state file s.json was written by a newer version of the monitor: it has schema 2, this version knows schema 1 and would lose what is new; " +
				"install the newer version again, or choose another file with --persistence-file, or remove this one with --clear\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.json")
			for file, text := range map[string]string{path: tt.state, path + ".before-removal": tt.copy} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			args := append([]string{"-p", path, "--restore-counts"}, strings.Fields(tt.args)...)
			if code := run(args, &out, &errs); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			short := func(b bytes.Buffer) string { return strings.ReplaceAll(b.String(), path, "s.json") }
			if diff := cmp.Diff(tt.out, short(out)); diff != "" {
				t.Errorf("standard output (-want +got):\n%s", diff)
			}
			if tt.errors != "" {
				tt.errors = "service-monitor: " + tt.errors
			}
			if diff := cmp.Diff(tt.errors, short(errs)); diff != "" {
				t.Errorf("standard error (-want +got):\n%s", diff)
			}
			if tt.code == exitOK {
				out.Reset()
				if err := checkState(path, &out); err != nil {
					t.Errorf("%v\n%s", err, out.String())
				}
			}
		})
	}
}

// TestRestoreHeld wants restore-counts to fail while a monitor runs.
func TestRestoreHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	lock, err := files.Hold(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	var out, errs bytes.Buffer
	if code := run([]string{"-p", path, "--restore-counts"}, &out, &errs); code != exitTempFail || !strings.Contains(errs.String(), path+": another monitor holds it; stop it first") {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
}
