package packaging

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// documents are the files for people who read the source.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			texts[file] = read(t, file)
		}
	}
	if len(texts) < 4 {
		t.Fatalf("documents: %q", slices.Collect(maps.Keys(texts)))
	}
	return texts
}

// targets returns the targets of the Makefile. make only reads the Makefile and runs nothing. It
// must not get the flags of a make that runs this test.
func targets(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("env", "-u", "MAKEFLAGS", "make", "-C", top, "-pq", ".PHONY")
	out, _ := cmd.Output() // -q may exit with 1
	return find(string(out), `(?m)^([a-z][a-z0-9-]*):(?: |$)`)
}

// TestReadmeIsShort wants a README that a stranger reads in one go. Anything else belongs into the
// manuals, or into the README of a directory.
func TestReadmeIsShort(t *testing.T) {
	lines := slices.Collect(strings.Lines(read(t, top+"/README.md")))
	if len(lines) < 60 || len(lines) > 90 {
		t.Errorf("README.md has %d lines, want 60 to 90", len(lines))
	}
	for i, line := range lines {
		if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 100 {
			t.Errorf("README.md:%d has %d columns, want 100 at most", i+1, width)
		}
	}
}

// TestLinks wants each link of the documents to lead to a file.
func TestLinks(t *testing.T) {
	for file, text := range documents(t) {
		for _, link := range find(text, `\]\(([^)#]+)\)`) {
			if strings.Contains(link, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), link)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// TestCommands wants everything that the documents name to exist: targets of make, flags of the
// programs, and tests.
func TestCommands(t *testing.T) {
	targets := targets(t)
	flags := map[string][]string{}
	for _, p := range programs {
		flags[p.name] = find(p.help(t), `(--[a-z]+(?:-[a-z]+)*)`)
	}
	tests := map[string]bool{}
	files, _ := filepath.Glob(top + "/test/*/*_test.go")
	for _, file := range files {
		for _, name := range find(read(t, file), `(?m)^func (Test\w+)\(`) {
			tests[name] = true
		}
	}
	for file, text := range documents(t) {
		for _, target := range find(text, "(?m)(?:^    |`)make ([a-z][a-z0-9-]*)") {
			if !slices.Contains(targets, target) {
				t.Errorf("%s: there is no `make %s`", file, target)
			}
		}
		for name, flags := range flags {
			for _, flag := range find(text, `\b`+name+` (--[a-z-]+)`) {
				if !slices.Contains(flags, flag) {
					t.Errorf("%s: there is no %s %s", file, name, flag)
				}
			}
		}
		for _, name := range find(text, `\b(Test[A-Z]\w+)`) {
			if !tests[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
}

// TestMakeHelp wants the list that make shows to be short, and each target in it to exist.
func TestMakeHelp(t *testing.T) {
	shown := find(run(t, "env", "-u", "MAKEFLAGS", "make", "-C", top, "help"), `(?m)^([a-z]+) `)
	if len(shown) == 0 || len(shown) > 14 {
		t.Errorf("make shows %d targets, want 14 at most: %q", len(shown), shown)
	}
	targets := targets(t)
	for _, target := range shown {
		if !slices.Contains(targets, target) {
			t.Errorf("make shows %s, which is no target", target)
		}
	}
}
