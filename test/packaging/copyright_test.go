package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// oneLine removes the layout from a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// licences returns debian/copyright without the marks of its format: the space before each line,
// and the dot for an empty line.
func licences(t *testing.T) string {
	t.Helper()
	return oneLine(regexp.MustCompile(`(?m)^ (\.$)?`).ReplaceAllString(read(t, copyrightFile), ""))
}

// TestModules wants each module that is linked with its licence, and no others.
func TestModules(t *testing.T) {
	const paragraph = `(?m)^Files: (.+)/\*\n`
	var modules strings.Builder
	for _, p := range programs {
		modules.WriteString(run(t, "go", "version", "-m", p.binary))
	}
	linked := find(modules.String(), `\tdep\t([^\t]+)\t`)
	named := slices.DeleteFunc(find(read(t, copyrightFile), paragraph), func(path string) bool { return path == "go" || strings.HasPrefix(path, "go/") })
	wantSame(t, "modules", linked, named)
	text := licences(t)
	dirs := []string{strings.TrimSpace(run(t, "go", "env", "GOROOT"))}
	for _, module := range linked {
		dirs = append(dirs, strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Dir}}", module)))
	}
	for _, dir := range dirs {
		file := licenceOf(dir)
		licence := oneLine(read(t, file))
		begins := regexp.MustCompile(`Permission is hereby|Redistribution and use`).FindStringIndex(licence)
		switch {
		case begins != nil:
			if !strings.Contains(text, licence[begins[0]:]) {
				t.Errorf("the licence of %s is not there: %s", dir, licence)
			}
		case !strings.HasPrefix(licence, "Apache License Version 2.0") || !strings.Contains(text, "/usr/share/common-licenses/Apache-2.0"):
			t.Errorf("%s has a licence of a kind that is not there: %s", dir, licence)
		}
		if notice, err := os.ReadFile(filepath.Join(dir, "NOTICE")); err == nil && !strings.Contains(text, oneLine(string(notice))) {
			t.Errorf("the NOTICE of %s is not there: %s", dir, notice)
		}
	}
	if !strings.Contains(text, oneLine(read(t, "../../LICENSE")[len("MIT License\n\nCopyright (c) 2026 The service-monitor authors\n"):])) {
		t.Error("our own licence is not there")
	}
}

// licenceOf returns the file with the licence of a module. Of the two of Eclipse's modules we take the second.
func licenceOf(dir string) string {
	for _, name := range []string{"edl-v10", "LICENSE", "LICENSE.txt"} {
		if file := filepath.Join(dir, name); exists(file) {
			return file
		}
	}
	return filepath.Join(dir, "LICENSE")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// TestHolders wants all copyright holders of the files that are linked on any architecture.
func TestHolders(t *testing.T) {
	notice := regexp.MustCompile(`(?im)^(?://|#| \*)?\s*(?:revisions )?copyright (?:\(c\) |© )?([0-9][0-9, -]*)(?:by )?(.*)$`)
	end := regexp.MustCompile(`(?i)\.?\s*(all rights reserved\.?.*)?$`)
	text := licences(t)
	seen := make(map[string]bool)
	holders := make(map[string]string)
	for _, target := range []string{"amd64", "arm64", "arm"} {
		list := exec.Command("go", "list", "-deps", "-f", `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}
{{end}}{{range .SFiles}}{{$d}}/{{.}}
{{end}}`)
		for _, p := range programs {
			list.Args = append(list.Args, "service-monitor/cmd/"+p.name)
		}
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+target)
		files, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range strings.Fields(string(files)) {
			if seen[file] {
				continue // most files are linked on each architecture
			}
			seen[file] = true
			for _, match := range notice.FindAllStringSubmatch(read(t, file), -1) {
				if name := end.ReplaceAllString(strings.TrimSpace(match[2]), ""); name != "" {
					holders[name] = file
				}
			}
		}
	}
	if len(holders) < 6 {
		t.Errorf("found only %q", holders)
	}
	for name, file := range holders {
		if !strings.Contains(text, name) {
			t.Errorf("%q is not there, whom %s names", name, file)
		}
	}
}
