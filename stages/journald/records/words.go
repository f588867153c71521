package records

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// pid1Lines is how many messages of PID 1 about a run are kept.
	pid1Lines = 8
	// longest is how many bytes of a message are kept.
	longest = 512
	// wordFields are the fields from which Words are made.
	wordFields = "MESSAGE,MESSAGE_ID,_PID,SYSLOG_IDENTIFIER,_COMM,CPU_USAGE_NSEC,MEMORY_PEAK,COREDUMP_PID"

	// Messages about a run that is over (sd-messages.h): what it used, and that it has dumped core.
	consumed = "ae8f7b866b0347b9af31fe1c80b127c0"
	coreDump = "fc2e22bc6ee647b6b90729ab34a250b1"
)

// Words are what the journal has of a run that has ended badly.
type Words struct {
	Lines []Line
	// CPU is the CPU time that the run took. Memory is the most memory that it used, in bytes. Each
	// is 0 if PID 1 has not told it. PID 1 tells what it accounts for (CPUAccounting=,
	// MemoryAccounting=), and CPU time only if it was more than a second. Older versions do not
	// tell the memory.
	CPU    time.Duration
	Memory uint64
	// Core is the PID of the process whose core systemd-coredump(8) has. coredumpctl(1) takes that
	// PID. It is 0 if there is none. systemd-coredump writes as the user of the process, so anybody
	// could have written the record.
	Core int
	// Over is true if PID 1 has written that the run has failed. What the run itself has written
	// came before that, so it is probably there, too.
	Over bool
}

// A Line is one message.
type Line struct {
	Time time.Time `json:"time"`
	From string    `json:"from"` // identifier and PID, such as "mosquitto[812]"
	Text string    `json:"text"`
}

// LastWords returns the last lines of a run, and what PID 1 has written about it. unit is the
// unit's own name. A core dump counts only if it was made after since.
func LastWords(ctx context.Context, unit string, run Invocation, since time.Time, lines int) (Words, error) {
	id := hex.EncodeToString(run[:])
	cmd := exec.CommandContext(ctx, "journalctl", "--quiet", "--output=json", "--output-fields="+wordFields, "--lines="+strconv.Itoa(lines+2*pid1Lines),
		"_SYSTEMD_INVOCATION_ID="+id, "+", "_PID=1", "UNIT="+unit, "INVOCATION_ID="+id, "+", "MESSAGE_ID="+coreDump, "COREDUMP_UNIT="+unit)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return Words{}, err
	}
	w, err := readWords(out, since, lines)
	_, _ = io.Copy(io.Discard, out)
	if ended := cmd.Wait(); ended != nil {
		return w, fmt.Errorf("%w: %s", ended, strings.TrimSpace(complaint.String()))
	}
	return w, err
}

// readWords reads the JSON that journalctl(1) prints.
func readWords(in io.Reader, since time.Time, lines int) (w Words, err error) {
	var mine []bool // which lines PID 1 has written
	for in := bufio.NewReader(in); ; {
		text, err := in.ReadBytes('\n')
		if len(text) > 1 {
			var e wordEntry
			if json.Unmarshal(text, &e) == nil { // the next line may be good again
				if line, ok := w.take(&e, since); ok {
					w.Lines, mine = append(w.Lines, line), append(mine, e.PID == "1")
				}
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return w, err
		}
	}
	kept, own, pid1 := len(w.Lines), 0, 0
	for i := len(w.Lines) - 1; i >= 0; i-- {
		most, n := lines, &own
		if mine[i] {
			most, n = pid1Lines, &pid1
		}
		if *n++; *n <= most {
			kept--
			w.Lines[kept] = w.Lines[i]
		}
	}
	w.Lines = w.Lines[kept:]
	return w, nil
}

// A wordEntry is an entry of the journal as JSON.
type wordEntry struct {
	Time       string   `json:"__REALTIME_TIMESTAMP"`
	Message    jsonText `json:"MESSAGE"`
	ID         jsonText `json:"MESSAGE_ID"`
	PID        jsonText `json:"_PID"`
	Identifier jsonText `json:"SYSLOG_IDENTIFIER"`
	Command    jsonText `json:"_COMM"`
	CPU        jsonText `json:"CPU_USAGE_NSEC"`
	Memory     jsonText `json:"MEMORY_PEAK"`
	CorePID    jsonText `json:"COREDUMP_PID"`
}

// jsonText is a field as journalctl(1) writes it. Mostly that is a text. If the text is not
// printable, it is an array of bytes, and if it is too long, null. If the entry has the field more
// than once, it is an array of these.
type jsonText string

func (t *jsonText) UnmarshalJSON(b []byte) error {
	var text string
	var several []jsonText
	var numbers []int
	switch {
	case string(b) == "null":
		text = "(more than 4096 bytes)"
	case json.Unmarshal(b, &text) == nil:
	case json.Unmarshal(b, &numbers) == nil:
		for _, n := range numbers {
			text += string([]byte{byte(n)})
		}
	case json.Unmarshal(b, &several) != nil || len(several) == 0:
		return errFormat
	default:
		text = string(several[0])
	}
	*t = jsonText(text)
	return nil
}

// take notes what an entry says of the run. ok is false if the entry is no line.
func (w *Words) take(e *wordEntry, since time.Time) (line Line, ok bool) {
	line.Time = micros(e.Time)
	if e.ID == coreDump {
		if pid, err := strconv.Atoi(string(e.CorePID)); err == nil && !line.Time.Before(since) {
			w.Core = pid
		}
		return line, false
	}
	if e.PID == "1" {
		switch e.ID {
		case failed:
			w.Over = true
		case consumed:
			cpu, _ := strconv.ParseInt(string(e.CPU), 10, 64)
			w.CPU = time.Duration(cpu)
			w.Memory, _ = strconv.ParseUint(string(e.Memory), 10, 64)
		}
	}
	line.From = string(e.Identifier)
	if line.From == "" {
		line.From = string(e.Command)
	}
	if e.PID != "" {
		line.From += "[" + string(e.PID) + "]"
	}
	line.From, line.Text = short(line.From, 64), short(string(e.Message), longest)
	return line, true
}

// short returns a text as valid UTF-8, and cuts it to so many bytes.
func short(text string, most int) string {
	text = strings.ToValidUTF8(strings.TrimRight(text, "\n"), "\uFFFD")
	if len(text) <= most {
		return text
	}
	for text = text[:most-len("…")]; !utf8.ValidString(text); {
		text = text[:len(text)-1]
	}
	return text + "…"
}
