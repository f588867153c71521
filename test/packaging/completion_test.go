package packaging

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// These find what a help has. It lists flags as "-h, --help". The text beside them may name others.
const (
	helpFlag    = `(?m)^ +(?:-[a-z], )?(--[a-z-]+) `
	helpShort   = `(?m)^ +(-[a-z]), --`
	helpCommand = `(?m)^  ([a-z-]+) `
)

// These find flags in a text.
const (
	longFlag  = `(?:^|[^a-z-])(--[a-z]+(?:-[a-z]+)*)`
	shortFlag = `(?:^|[^a-zA-Z-])(-[a-z])(?:[^a-z-]|$)`
)

// commands returns the names of the commands in the help of a program.
func (p *program) commands(t *testing.T) []string {
	t.Helper()
	return find(section(t, p.help(t), "Commands:", ""), helpCommand)
}

// flagsOf returns the text that lists the flags of a command. Without a name, it is for the flags of the
// program itself.
func (p *program) flagsOf(t *testing.T, command string) string {
	t.Helper()
	switch {
	case p.lists != nil:
		var text strings.Builder
		for _, list := range p.lists[command] {
			text.WriteString(section(t, p.help(t), list, "") + "\n")
		}
		return text.String()
	case command == "":
		return p.help(t)
	}
	return run(t, p.binary, "help", command)
}

// allFlags returns the flags of a program and of its commands.
func (p *program) allFlags(t *testing.T) []string {
	t.Helper()
	flags := find(p.help(t), helpFlag)
	for _, command := range p.commands(t) {
		flags = append(flags, find(p.flagsOf(t, command), helpFlag)...)
	}
	return flags
}

// TestFlags wants each flag in the manual and in both completions, and no other.
func TestFlags(t *testing.T) { each(t, testFlags) }

func testFlags(t *testing.T, p *program) {
	flags, short := find(p.flagsOf(t, ""), helpFlag), find(p.flagsOf(t, ""), helpShort)
	if len(flags) == 0 || len(short) == 0 {
		t.Fatalf("flags: %q, %q", short, flags)
	}
	options := chapter(t, plain(read(t, p.manual)), "OPTIONS")
	zsh := read(t, p.zsh)
	_, root, _ := strings.Cut(zsh, "\n_arguments ")
	_, bashRoot, _ := strings.Cut(read(t, p.bash), "        *) echo '")
	bashRoot, _, _ = strings.Cut(bashRoot, "'")
	for name, text := range map[string]string{"manual": options, "bash": bashRoot, "zsh": expand(zsh)(root)} {
		wantSame(t, name, flags, find(text, longFlag))
		wantSame(t, name, short, find(text, shortFlag))
	}
}

// TestNoOtherFlags wants the manuals to name no flag that does not exist. Flags of other programs are in
// the lines of those programs. The manuals of the other programs may name flags of the monitor.
func TestNoOtherFlags(t *testing.T) {
	ours := monitor.allFlags(t)
	for file, flags := range map[string][]string{
		monitor.manual: ours, fileManual: ours, web.manual: append(web.allFlags(t), ours...),
		mqtt.manual: append(mqtt.allFlags(t), ours...),
	} {
		others := regexp.MustCompile(`^(\.B )?"?(journalctl|apt-get|systemctl) `)
		for line := range strings.Lines(plain(read(t, file))) {
			for _, flag := range find(line, longFlag) {
				if !slices.Contains(flags, flag) && !others.MatchString(line) {
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
func TestCommandTable(t *testing.T) { each(t, testCommandTable) }

func testCommandTable(t *testing.T, p *program) {
	commands := p.commands(t)
	manual := chapter(t, plain(read(t, p.manual)), "COMMANDS")
	bash, zsh := read(t, p.bash), read(t, p.zsh)
	wantSame(t, "manual", commands, find(manual, `(?m)^\.TP\n\.BR? ([a-z-]+)`))
	wantSame(t, "bash", commands, sorted(find(bash, `local commands='([a-z -]+)'`)))
	wantSame(t, "zsh", commands, find(zsh, `(?m)^    '([a-z-]+):`))
	for _, command := range commands {
		text := p.flagsOf(t, command)
		flags, short := find(text, helpFlag), find(text, helpShort)
		for shell, lines := range map[string][]string{
			"bash": find(bash, `(?m)^        `+command+`\) (.*)$`),
			"zsh":  find(zsh, `(?m)^    `+command+`\) (.*)$`),
		} {
			if len(lines) != 1 {
				t.Errorf("%s has %d lines of the flags of %s", shell, len(lines), command)
				continue
			}
			line := expand(zsh)(lines[0])
			wantSame(t, shell+" "+command, flags, find(line, longFlag))
			wantSame(t, shell+" "+command, short, find(line, shortFlag))
		}
	}
}

// sorted returns the words of texts in order.
func sorted(texts []string) []string {
	words := strings.Fields(strings.Join(texts, " "))
	slices.Sort(words)
	return words
}

// TestBashSyntax lets bash read its completions. TestCompletion uses them.
func TestBashSyntax(t *testing.T) {
	each(t, func(t *testing.T, p *program) { run(t, "bash", "-n", p.bash) })
}
