package main

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reported lets a user write a report, and returns the names of what is in it.
func reported(t *testing.T, state string) (names, errs string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.tar.gz")
	var b bytes.Buffer
	code = run([]string{"report", "-o", file, "-p", state}, io.Discard, &b)
	text, err := exec.Command("tar", "-tzf", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), b.String(), code
}

func TestReport(t *testing.T) {
	state := writeHistory(t)
	writeFile(t, state, `{"a.service": {"last_state": "active"}}`)
	names, errs, code := reported(t, state)
	for _, want := range []string{"/version\n", "/state.json\n", "/history/", "/status\n", "/os-release\n", "/services/a.service/properties\n"} {
		if !strings.Contains(names, want) {
			t.Errorf("there is no %q in\n%s", want, names)
		}
	}
	if code != 0 || errs != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
}
