// Package packaging tests the parts of the Debian packages besides the programs. Each build gives the
// same packages. The texts must fit the programs: their manual pages, shell completions, journal
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

// These are the texts that there is one of.
const (
	fileManual    = "../../debian/service-monitor.5"
	catalogFile   = "../../systemd/journal.catalog"
	copyrightFile = "../../debian/copyright"
	examples      = "../../debian/examples"
)

// A program has a package with its texts.
type program struct {
	name   string
	binary string // built once
	manual string
	// bash and zsh are its completions.
	bash, zsh string
	// lists are the lists of flags in its help, by command. Without them, each command has a help of
	// its own.
	lists map[string][]string
}

var (
	monitor  = newProgram("service-monitor", "../../debian")
	web      = newProgram("service-monitor-web", "../../debian/web")
	mqtt     = newProgram("service-monitor-mqtt", "../../debian/mqtt")
	programs = []*program{monitor, web, mqtt}
)

func init() {
	const both = "Flags of both:"
	web.lists = map[string][]string{"": {"Flags to serve:", both}, "metrics": {"Flags of metrics:", both}}
	const all = "Flags of all:"
	mqtt.lists = map[string][]string{"": {"Flags to publish:", all}, "check": {all}, "clear": {all}}
}

func newProgram(name, dir string) *program {
	return &program{name: name, manual: dir + "/" + name + ".8", bash: dir + "/completion.bash", zsh: dir + "/completion.zsh"}
}

// each runs a test of each program.
func each(t *testing.T, test func(*testing.T, *program)) {
	t.Helper()
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) { test(t, p) })
	}
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "service-monitor-texts-")
	if err != nil {
		panic(err)
	}
	os.Chmod(dir, 0o755) // an unprivileged user of a machine runs it
	for _, p := range programs {
		p.binary = filepath.Join(dir, p.name)
		build := exec.Command("go", "build", "-trimpath", "-o", p.binary, "service-monitor/cmd/"+p.name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", p.name, err, out)
			os.Exit(1)
		}
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
