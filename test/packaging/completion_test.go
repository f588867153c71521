package packaging

import (
	"slices"
	"strings"
	"testing"
)

// TestFlags wants each flag in the manual and in both completions, and no other.
func TestFlags(t *testing.T) {
	// "-h, --help" is how it lists them; the text beside them names others.
	flags := find(help(t), `(?m)^ +(?:-[a-z], )?(--[a-z-]+) `)
	short := find(help(t), `(?m)^ +(-[a-z]), --`)
	if len(flags) == 0 || len(short) == 0 {
		t.Fatalf("flags: %q, %q", short, flags)
	}
	const long, letter = `(?:^|[^a-z-])(--[a-z]+(?:-[a-z]+)*)`, `(?:^|[^a-zA-Z-])(-[a-z])(?:[^a-z-]|$)`
	options := section(t, plain(read(t, manual)), ".SH OPTIONS", ".SH LOG")
	bash := section(t, read(t, bashCompletion), "    case $prev in", "    [[ $cur == *,* ]] && before=${cur%,*},")
	zsh := read(t, zshCompletion)
	zsh = zsh[strings.Index(zsh, "_arguments"):]
	for name, text := range map[string]string{"manual": options, "bash": bash, "zsh": zsh} {
		wantSame(t, name, flags, find(text, long))
		wantSame(t, name, short, find(text, letter))
	}
	// And none elsewhere that there is not; those of others are in their lines.
	for _, file := range []string{manual, fileManual} {
		for line := range strings.Lines(plain(read(t, file))) {
			for _, flag := range find(line, long) {
				if !slices.Contains(flags, flag) && !strings.HasPrefix(line, "journalctl ") && !strings.HasPrefix(line, "apt-get ") {
					t.Errorf("%s: there is no %s: %s", file, flag, line)
				}
			}
		}
	}
}

// TestBashSyntax has bash read its completion; TestCompletion uses it.
func TestBashSyntax(t *testing.T) {
	run(t, "bash", "-n", bashCompletion)
}
