// Package packaging tests the parts of the Debian package besides the program. Each build gives the
// same package. The texts must fit the program: its manual pages, shell completions, journal
// catalog, licences and examples.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// These are the texts.
const (
	manual         = "../../debian/service-monitor.8"
	fileManual     = "../../debian/service-monitor.5"
	bashCompletion = "../../debian/completion.bash"
	zshCompletion  = "../../debian/completion.zsh"
	catalogFile    = "../../systemd/journal.catalog"
	copyrightFile  = "../../debian/copyright"
	examples       = "../../debian/examples"
)

// binary is the daemon, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "service-monitor-texts-")
	if err != nil {
		panic(err)
	}
	os.Chmod(dir, 0o755) // an unprivileged user of a machine runs it
	binary = filepath.Join(dir, "service-monitor")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "service-monitor/cmd/service-monitor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the daemon: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run returns the standard output of a command. The command must succeed and write nothing to
// standard error.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil || complaint.Len() > 0 {
		t.Errorf("%q: %v: %s", argv, err, complaint.String())
	}
	return string(out)
}

// find returns the first group of each match, sorted and without duplicates.
func find(text, pattern string) []string {
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}
