package logsink

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"
)

// fileBacklog bounds the lines, in bytes, that wait for a disk that takes none.
// When it is full, lines are counted instead, and the file says so in their
// place.
const fileBacklog = 64 << 10

// owed are the lines that the file has not taken.
type owed struct {
	lines bytes.Buffer
	cut   int  // lines that came when the backlog was full
	torn  bool // the file ends within a line
}

func (o *owed) add(line []byte) {
	if o.cut > 0 || o.lines.Len()+len(line) > fileBacklog {
		o.cut++
		return
	}
	o.lines.Write(line)
}

// flush writes what w takes.
func (o *owed) flush(w io.Writer, now time.Time) error {
	for o.lines.Len() > 0 || o.cut > 0 || o.torn {
		if o.lines.Len() == 0 && o.cut > 0 {
			text := fmt.Sprintf("the log file took no more: %d lines are missing here", o.cut)
			o.lines.Write(format(now, logrus.WarnLevel, text))
			o.cut = 0
		}
		if err := o.write(w); err != nil {
			return err
		}
	}
	return nil
}

// write writes all lines that there are. A full disk may take a part: what
// follows then begins on a new line, with the line that was torn, unless nothing
// but its end is missing.
func (o *owed) write(w io.Writer) error {
	b := o.lines.Bytes()
	if o.torn {
		b = append([]byte{'\n'}, b...)
	}
	n, err := w.Write(b)
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
	o.lines.Next(whole)
	return err
}
