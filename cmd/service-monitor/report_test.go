package main

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/cmd/internal/config"
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

// If systemd does not answer, it is asked once, and not for each service again. The same holds for the journal.
func TestReportOfSilentSystemd(t *testing.T) {
	state, bin := writeHistory(t), t.TempDir()
	const failed = `{"last_state": "failed", "life": {"active_state": "failed", "sub_state": "failed", "ended": true}}`
	writeFile(t, state, `{"a.service": `+failed+`, "b.service": `+failed+`}`)
	asked := filepath.Join(bin, "asked")
	for _, name := range []string{"systemctl", "journalctl"} {
		script := "#!/bin/sh\necho " + name + " >>" + asked + "\nexec /bin/sleep infinity\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	var b bytes.Buffer
	r := &report{out: tar.NewWriter(&b), stdout: io.Discard, silent: map[string]bool{}}
	r.within = func() (context.Context, context.CancelFunc) { // until the command has begun
		ctx, cancel := context.WithCancelCause(t.Context())
		before := len(readLines(asked))
		go func() {
			for len(readLines(asked)) == before && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel(context.DeadlineExceeded)
		}()
		return ctx, func() { cancel(nil) }
	}
	c := config.Config{}
	c.State.File = state
	r.gather(config.Loaded{Config: c}, nil, true)
	if got := strings.Join(readLines(asked), " "); got != "systemctl journalctl" {
		t.Errorf("called: %s", got)
	}
	texts := map[string]string{}
	for in := tar.NewReader(&b); ; {
		h, err := in.Next()
		if err != nil {
			break
		}
		text, _ := io.ReadAll(in)
		texts[strings.TrimPrefix(h.Name, "/")] = string(text)
	}
	for name, want := range map[string]string{
		"unit": "systemd did not answer\n", "services/a.service/properties": "systemd did not answer\n", "services/b.service/properties": "systemd did not answer\n",
		"services/a.service/journal": "the journal did not answer\n", "services/b.service/journal": "the journal did not answer\n",
	} {
		if texts[name] != want {
			t.Errorf("%s: %q, want %q", name, texts[name], want)
		}
	}
}

func readLines(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}
