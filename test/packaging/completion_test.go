package packaging

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFlags wants each flag in the manual and in both completions, and no other.
func TestFlags(t *testing.T) {
	// It lists flags as "-h, --help". The text beside them may name others.
	flags := find(help(t), `(?m)^ +(?:-[a-z], )?(--[a-z-]+) `)
	short := find(help(t), `(?m)^ +(-[a-z]), --`)
	if len(flags) == 0 || len(short) == 0 {
		t.Fatalf("flags: %q, %q", short, flags)
	}
	const long, letter = `(?:^|[^a-z-])(--[a-z]+(?:-[a-z]+)*)`, `(?:^|[^a-zA-Z-])(-[a-z])(?:[^a-z-]|$)`
	options := section(t, plain(read(t, manual)), ".SH OPTIONS", ".SH LOG")
	bash, zsh := read(t, bashCompletion), read(t, zshCompletion)
	zshOf := expand(zsh)
	_, root, _ := strings.Cut(zsh, "\n_arguments ")
	bashRoot := section(t, bash, "        version) echo '-h --help' ;;", "    esac")
	for name, text := range map[string]string{"manual": options, "bash": bashRoot, "zsh": zshOf(root)} {
		wantSame(t, name, flags, find(text, long))
		wantSame(t, name, short, find(text, letter))
	}
	all := slices.Clone(flags)
	for _, command := range find(section(t, help(t), "Commands:", "Flags:"), `(?m)^  ([a-z-]+) `) {
		all = append(all, find(run(t, binary, "help", command), `(?m)^ +(?:-[a-z], )?(--[a-z-]+) `)...)
	}
	// Other places must not name a flag that does not exist. Flags of other programs are in
	// the lines of those programs.
	for _, file := range []string{manual, fileManual} {
		for line := range strings.Lines(plain(read(t, file))) {
			for _, flag := range find(line, long) {
				if !slices.Contains(all, flag) && !strings.HasPrefix(line, "journalctl ") && !strings.HasPrefix(line, "apt-get ") {
					t.Errorf("%s: there is no %s: %s", file, flag, line)
				}
			}
		}
	}
}

// expand replaces the names of flag lists in the zsh completion by the lists.
func expand(completion string) func(line string) string {
	lists := make(map[string]string)
	for line := range strings.Lines(completion) {
		if name, list, ok := strings.Cut(line, "=("); ok {
			lists[name] = list
		}
	}
	return func(line string) string {
		return regexp.MustCompile(`\$([a-z]+)`).ReplaceAllStringFunc(line, func(name string) string { return lists[name[1:]] })
	}
}

// TestCommandTable wants each command in the manual and in both completions, with its flags,
// and no other.
func TestCommandTable(t *testing.T) {
	list := section(t, help(t), "Commands:", "Flags:")
	commands := find(list, `(?m)^  ([a-z-]+) `)
	manual := section(t, plain(read(t, manual)), ".SH COMMANDS", ".SH OPTIONS")
	bash, zsh := read(t, bashCompletion), read(t, zshCompletion)
	wantSame(t, "manual", commands, find(manual, `(?m)^\.TP\n\.BR? ([a-z-]+)`))
	wantSame(t, "bash", commands, sorted(find(bash, `local commands='([a-z -]+)'`)))
	wantSame(t, "zsh", commands, find(zsh, `(?m)^    '([a-z-]+):`))
	const long, letter = `(?:^|[^a-z-])(--[a-z]+(?:-[a-z]+)*)`, `(?:^|[^a-zA-Z-])(-[a-z])(?:[^a-z-]|$)`
	for _, command := range commands {
		text := run(t, binary, "help", command)
		flags, short := find(text, `(?m)^ +(?:-[a-z], )?(--[a-z-]+) `), find(text, `(?m)^ +(-[a-z]), --`)
		for shell, lines := range map[string][]string{
			"bash": find(bash, `(?m)^        `+command+`\) (.*)$`),
			"zsh":  find(zsh, `(?m)^    `+command+`\) (.*)$`),
		} {
			if len(lines) != 1 {
				t.Errorf("%s has %d lines of the flags of %s", shell, len(lines), command)
				continue
			}
			line := expand(zsh)(lines[0])
			wantSame(t, shell+" "+command, flags, find(line, long))
			wantSame(t, shell+" "+command, short, find(line, letter))
		}
	}
}

// sorted returns the words of texts in order.
func sorted(texts []string) []string {
	words := strings.Fields(strings.Join(texts, " "))
	slices.Sort(words)
	return words
}

// TestBashSyntax lets bash read its completion. TestCompletion uses the completion.
func TestBashSyntax(t *testing.T) {
	run(t, "bash", "-n", bashCompletion)
}
