package tell

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// wrap writes a name and a text in as many lines as they need. A word that is too long for a line goes
// on in the next one, because it may be the name of a unit. If the screen has no width, it is one line.
func (s Screen) wrap(w io.Writer, name, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(name))
	if s.Width == 0 {
		s.line(w, name+text)
		return
	}
	room := max(s.Width-len(indent), 20)
	line := []rune(nil)
	flush := func() {
		s.line(w, name+string(line))
		name, line = indent, nil
	}
	for _, field := range fields(text) {
		next := []rune(field)
		if len(line) > 0 && len(line)+1+len(next) > room {
			flush()
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for line = append(line, next...); len(line) > room; {
			rest := line[room:]
			line = line[:room:room]
			flush()
			line = rest
		}
	}
	if len(line) > 0 || name != indent {
		flush()
	}
}

// Top returns the first lines of a text, as many as the screen has. The last one says how many are
// missing. There is no end of a line after it, because that would push the first one off the screen.
func (s Screen) Top(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	height, fit, below := 0, 0, 0 // below is how many lines fit if there is one below them
	for _, line := range lines {
		if height++; s.Width > 0 { // a command is longer than a line
			height += max(utf8.RuneCountInString(line)-1, 0) / s.Width
		}
		if height < s.Height {
			below++
		}
		if height <= s.Height {
			fit++
		}
	}
	if s.Height == 0 || fit == len(lines) {
		return strings.Join(lines, "\n")
	}
	more := fmt.Sprintf("%s more; service-monitor status shows all", plural(int64(len(lines)-below), "line"))
	return strings.Join(append(lines[:below:below], more), "\n")
}

// fields returns the words of a text. A number and its unit are one.
func fields(text string) (list []string) {
	for field := range strings.FieldsSeq(text) {
		if unit := strings.TrimRight(field, ",;:.)"); len(list) > 0 && (unit == "s" || unit == "ms") {
			list[len(list)-1] += " " + field
			continue
		}
		list = append(list, field)
	}
	return list
}

// word returns a text as one word of a command line. Names of units have backslashes in them, which a
// shell would take for its own.
func word(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@._:+-", r)
	}
	if text != "" && strings.TrimFunc(text, plain) == "" {
		return text
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(text, "'", `'\''`))
}
