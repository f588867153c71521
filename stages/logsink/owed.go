package logsink

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"
)

// fileBacklog bounds the lines, in bytes, that wait for a disk that takes none,
// beside those that it was given: three thousand, or what a service writes in
// three seconds that crashes and is restarted as fast as systemd can. When it is
// full, lines are counted instead, and the file says so in their place.
const fileBacklog = 256 << 10

// owed are the lines that the file has not taken.
type owed struct {
	lines []byte // that wait
	given []byte // that the file was given, which has not said how much it took
	cut   int    // lines that came when the backlog was full
	torn  bool   // the file ends within a line
}

func (o *owed) add(line []byte) {
	if o.cut > 0 || len(o.lines)+len(line) > fileBacklog {
		o.cut++
		return
	}
	o.lines = append(o.lines, line...)
}

// any reports whether there is something to give.
func (o *owed) any() bool { return len(o.lines) > 0 || o.cut > 0 || o.torn }

// many reports whether so many lines wait that the backlog may soon be full.
func (o *owed) many() bool { return len(o.lines) > fileBacklog/2 }

// give returns what is to be written next, of which took must be told. A full
// disk may have taken a part: what follows then begins on a new line, with the
// line that was torn, unless nothing but its end is missing.
func (o *owed) give(now time.Time) []byte {
	if len(o.lines) == 0 && o.cut > 0 {
		text := fmt.Sprintf("the log file took no more: %d lines are missing here", o.cut)
		o.lines, o.cut = format(now, logrus.WarnLevel, text), 0
	}
	o.given, o.lines = o.lines, o.given[:0]
	if o.torn {
		return append([]byte{'\n'}, o.given...)
	}
	return o.given
}

// took says that of b, which is what give returned, n bytes were written.
func (o *owed) took(b []byte, n int) {
	whole := bytes.LastIndexByte(b[:n], '\n') + 1
	if n < len(b) && b[n] == '\n' {
		whole = n + 1
	}
	if o.torn && whole > 0 {
		whole-- // the one that is not of the lines
	}
	if n > 0 {
		o.torn = b[n-1] != '\n'
	}
	left := o.given[whole:]
	o.given = o.given[:0]
	if len(left) > 0 { // before what came meanwhile
		o.given, o.lines = o.lines[:0], append(left, o.lines...)
	}
}

// flush writes what w takes, and waits for that.
func (o *owed) flush(w io.Writer, now time.Time) error {
	for o.any() {
		b := o.give(now)
		n, err := w.Write(b)
		o.took(b, n)
		if err != nil {
			return err
		}
	}
	return nil
}
