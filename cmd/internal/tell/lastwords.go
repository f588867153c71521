package tell

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"service-monitor/stages/blackbox"
)

// fewLines is how many lines of a run are shown without --full.
const fewLines = 6

// box returns the box of the crash that is asked for. If there is none, it returns the newest box
// before that crash, because in a loop boxes are seldom made.
func (y *Why) box(c *crash) (box *blackbox.Box) {
	for i := range y.Boxes {
		b := &y.Boxes[i]
		if c != nil && c.Invocation != [16]byte{} && b.Invocation == hex.EncodeToString(c.Invocation[:]) {
			return b
		}
		if c == nil || y.Number == 0 || !b.Time.After(c.Time) {
			box = b
		}
	}
	return box
}

// usedField adds what a run has used.
func usedField(field func(name, format string, args ...any), b *blackbox.Box) {
	var words []string
	if b.CPU > 0 {
		words = append(words, Span(b.CPU)+" of CPU time")
	}
	if b.Memory > 0 {
		words = append(words, inBytes(b.Memory)+" of memory at most")
	}
	if len(words) > 0 {
		field("Used", "%s", strings.Join(words, ", "))
	}
}

// inBytes returns a number of bytes in the largest unit that fits.
func inBytes(n uint64) string {
	units, value := []string{"B", "kB", "MB", "GB"}, float64(n)
	for value >= 1024 && len(units) > 1 {
		units, value = units[1:], value/1024
	}
	return fmt.Sprintf("%.4g %s", value, units[0])
}

// whose says of which run the lines of a box are.
func whose(b *blackbox.Box, c *crash, zone *time.Location) string {
	if c == nil || b.Invocation != hex.EncodeToString(c.Invocation[:]) {
		return "the run that crashed at " + b.Time.In(zone).Format(time.DateTime)
	}
	return "the run that crashed"
}

// writeWords writes the last lines of a run.
func (y *Why) writeWords(w io.Writer, s Screen, b *blackbox.Box, c *crash) {
	lines, note := b.Lines, ""
	if len(lines) > fewLines && !y.Full {
		lines, note = lines[len(lines)-fewLines:], fmt.Sprintf(" (%d of %d lines; --full shows all)", fewLines, len(lines))
	}
	if y.Full { // that means whole lines, too
		s.Width = 0
	}
	var words []string
	for _, l := range lines {
		text := l.Text
		if l.From == "systemd[1]" { // PID 1 writes the name of the unit first
			_, text, _ = strings.Cut(text, ".service: ")
		}
		text = fmt.Sprintf("    %s %s: %s", l.Time.In(s.Zone).Format(time.TimeOnly), l.From, cmp.Or(text, l.Text))
		if words = append(words, text); note == "" && s.Width > 0 && !s.Long && utf8.RuneCountInString(text) > s.Width {
			note = " (--full shows whole lines)"
		}
	}
	fmt.Fprintln(w)
	s.wrap(w, "  ", "Last words of "+whose(b, c, s.Zone)+note)
	for _, text := range words {
		s.line(w, text)
	}
}
