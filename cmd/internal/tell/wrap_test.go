package tell

import (
	osexec "os/exec"
	"strings"
	"testing"
)

// TestWrap wants all of a text, whatever the width, and no line that is too long.
func TestWrap(t *testing.T) {
	name := `systemd-fsck@dev-disk-by\x2duuid-0a1b2c3d\x2d4e5f\x2d6071.service`
	for _, text := range []string{"", "one", "some words that do not fit into one line of the narrow screen", name + " is down", strings.Repeat(name, 3)} {
		for _, width := range []int{0, 30, 60, 140} {
			var b strings.Builder
			Screen{Width: width, Zone: zone}.wrap(&b, "  Cause ", text)
			got := ""
			for line := range strings.Lines(b.String()) {
				if line = strings.TrimSuffix(line, "\n"); width > 0 && len(line) > width {
					t.Errorf("%d columns, more than %d: %q", len(line), width, line)
				}
				got += line
			}
			if is, want := strings.ReplaceAll(got, " ", ""), strings.ReplaceAll("Cause"+text, " ", ""); is != want {
				t.Errorf("%q in %d columns is %q", text, width, got)
			}
		}
	}
}

// A shell reads each word as it was.
func TestWord(t *testing.T) {
	for text, want := range map[string]string{
		"wirepas-sink@ttyS1.service": "wirepas-sink@ttyS1.service",
		`a\x2db.service`:             `'a\x2db.service'`,
		"a b":                        "'a b'",
		"it's $HOME":                 `'it'\''s $HOME'`,
		"":                           "''",
	} {
		got := word(text)
		said, err := osexec.Command("sh", "-c", "printf %s "+got).Output()
		if got != want || err != nil || string(said) != text {
			t.Errorf("%q: %s, want %s; the shell reads %q (%v)", text, got, want, said, err)
		}
	}
}

// A number is not parted from its unit.
func TestWrapNumbers(t *testing.T) {
	var b strings.Builder
	Screen{Width: 24}.wrap(&b, "", "every 200 ms, each after 10 s; s is a letter")
	if want := "every 200 ms, each after\n10 s; s is a letter\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// The screen keeps the first lines, which are about the worst.
func TestTop(t *testing.T) {
	long := strings.Repeat("x", 41)
	for _, tt := range []struct {
		height     int
		text, want string
	}{
		{0, "a\nb\nc\n", "a\nb\nc"},
		{3, "a\nb\nc\n", "a\nb\nc"},
		{2, "a\nb\nc\n", "a\n2 lines more; service-monitor status shows all"},
		{5, long + "\nb\nc\n", long + "\nb\nc"}, // that are three lines of 20 columns, and two
		{4, long + "\nb\nc\n", long + "\n2 lines more; service-monitor status shows all"},
		{1, "a\nb\n", "2 lines more; service-monitor status shows all"},
	} {
		if got := (Screen{Width: 20, Height: tt.height}).Top(tt.text); got != tt.want {
			t.Errorf("%d lines of %q: %q, want %q", tt.height, tt.text, got, tt.want)
		}
	}
}
