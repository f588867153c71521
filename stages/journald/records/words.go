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
	"slices"
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
	wordFields = "MESSAGE,MESSAGE_ID,_PID,SYSLOG_IDENTIFIER,_COMM,CPU_USAGE_NSEC,MEMORY_PEAK,COREDUMP_PID,INVOCATION_ID,_SYSTEMD_INVOCATION_ID"
	// around is how long before and after a crash its core dump, and its last words, may come.
	around = time.Minute
	// mostRead is how many entries are read at most. A loop may have had many runs since.
	mostRead = 20_000
	// longestEntry is how many bytes an entry may have as JSON. journalctl(1) leaves out what has more than
	// 4096 bytes, and a byte takes five at most.
	longestEntry = 64 << 10

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
// unit's own name, and crashed is when the run has ended.
//
// When journald reads the first line of a run, it looks up which run that is. If the run is over by
// then, its lines are of the unit, but of no run (measured on 247, 252 and 257). So they are lines of
// this run if they come after what PID 1 writes about it, and before what PID 1 writes about the next.
// The journal is read backwards, because only the end of a run is wanted.
func LastWords(ctx context.Context, unit string, run Invocation, crashed time.Time, lines int) (Words, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id := hex.EncodeToString(run[:])
	args := []string{"--quiet", "--reverse", "--output=json", "--output-fields=" + wordFields}
	if late := crashed.Add(around); late.Before(time.Now()) {
		args = append(args, "--until=@"+strconv.FormatInt(late.Unix(), 10))
	}
	cmd := exec.CommandContext(ctx, "journalctl", append(args, "_SYSTEMD_INVOCATION_ID="+id, "+", "_SYSTEMD_UNIT="+unit, "+",
		"_PID=1", "UNIT="+unit, "+", "MESSAGE_ID="+coreDump, "COREDUMP_UNIT="+unit)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return Words{}, err
	}
	w, enough, err := readWords(out, id, crashed.Add(-around), lines)
	if enough {
		cancel()
		_ = cmd.Wait() // we ended it
		return w, nil
	}
	if ended := cmd.Wait(); ended != nil {
		return w, fmt.Errorf("%w: %s", ended, strings.TrimSpace(complaint.String()))
	}
	return w, err
}

// readWords reads the JSON that journalctl(1) prints, the newest entry first, until it has enough.
func readWords(in io.Reader, run string, since time.Time, lines int) (w Words, enough bool, err error) {
	r := wordReader{run: run, since: since, most: lines}
	buffered := bufio.NewReaderSize(in, longestEntry)
	for n := 0; !enough && !errors.Is(err, io.EOF); n++ {
		if n == mostRead {
			return r.end(), true, nil
		}
		var text []byte
		if text, err = readEntry(buffered); err != nil && !errors.Is(err, io.EOF) {
			return r.end(), false, err
		}
		var e wordEntry
		if len(text) > 1 && json.Unmarshal(text, &e) == nil { // the next line may be good again
			enough = !r.take(&e)
		}
	}
	return r.end(), enough, nil
}

// readEntry reads a line, which is good until the next call. If it is too long, it returns none: anybody may
// write an entry of many megabytes.
func readEntry(in *bufio.Reader) (line []byte, err error) {
	line, err = in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		line = nil
		_, err = in.ReadSlice('\n')
	}
	return line, err
}

// A wordReader finds the lines of a run among those of its unit, the newest first.
type wordReader struct {
	run    string
	since  time.Time // of a core dump
	most   int       // lines of the run itself
	words  Words     // without lines
	found  []foundLine
	number [3]int // of found, by author
}

type foundLine struct {
	Line
	by author
}

type author int

const (
	theRun  author = iota
	someRun        // of the unit; it is not known yet which one
	pid1           // about the run
)

// take takes the next entry. It returns false if no more are needed.
func (r *wordReader) take(e *wordEntry) (more bool) {
	switch line := e.line(); {
	case e.ID == coreDump:
		if pid, err := strconv.Atoi(string(e.CorePID)); err == nil && !line.Time.Before(r.since) && r.words.Core == 0 {
			r.words.Core = pid
		}
	case e.PID != "1" && string(e.Run) == r.run:
		r.add(line, theRun, r.most)
	case e.PID != "1" && e.Run == "":
		r.add(line, someRun, r.most)
	case e.PID != "1" || e.About == "": // of another run, or of none
	case string(e.About) == r.run:
		r.assign()
		r.words.note(e)
		r.add(line, pid1, pid1Lines)
	case r.number[pid1] > 0:
		return false // it is about the run before
	default:
		r.drop() // it is about a later run, and so are the lines of which that was not known yet
	}
	return r.number[theRun] < r.most
}

func (r *wordReader) add(line Line, by author, most int) {
	if r.number[by] < most {
		r.found = append(r.found, foundLine{line, by})
		r.number[by]++
	}
}

// assign makes the lines of some run those of the run.
func (r *wordReader) assign() {
	for i := range r.found {
		if r.found[i].by == someRun {
			r.found[i].by = theRun
		}
	}
	r.number[theRun] += r.number[someRun]
	r.number[someRun] = 0
}

// drop removes the lines of some run.
func (r *wordReader) drop() {
	r.found = slices.DeleteFunc(r.found, func(f foundLine) bool { return f.by == someRun })
	r.number[someRun] = 0
}

// end returns what was found, the oldest line first. Lines of some run may be left, from before PID 1 wrote
// that the run began. If the run has no lines of its own, they are probably its lines: journald was late.
// Otherwise they are of the run before.
func (r *wordReader) end() Words {
	if r.number[pid1] > 0 && r.number[theRun] == 0 {
		r.assign()
	}
	r.drop()
	own := 0
	for _, f := range r.found {
		if f.by == theRun {
			own++
		}
		if f.by == pid1 || own <= r.most {
			r.words.Lines = append(r.words.Lines, f.Line)
		}
	}
	slices.Reverse(r.words.Lines)
	return r.words
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
	Run        jsonText `json:"_SYSTEMD_INVOCATION_ID"` // in which it was written
	About      jsonText `json:"INVOCATION_ID"`          // PID 1 writes about this run
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
		bytes := make([]byte, len(numbers))
		for i, n := range numbers {
			bytes[i] = byte(n)
		}
		text = string(bytes)
	case json.Unmarshal(b, &several) != nil || len(several) == 0:
		return errFormat
	default:
		text = string(several[0])
	}
	*t = jsonText(text)
	return nil
}

// note keeps what PID 1 says of the run. Nobody else may say that.
func (w *Words) note(e *wordEntry) {
	switch e.ID {
	case failed:
		w.Over = true
	case consumed:
		cpu, _ := strconv.ParseInt(string(e.CPU), 10, 64)
		w.CPU = time.Duration(cpu)
		w.Memory, _ = strconv.ParseUint(string(e.Memory), 10, 64)
	}
}

func (e *wordEntry) line() Line {
	from := string(e.Identifier)
	if from == "" {
		from = string(e.Command)
	}
	if e.PID != "" {
		from += "[" + string(e.PID) + "]"
	}
	return Line{Time: micros(e.Time), From: short(from, 64), Text: short(string(e.Message), longest)}
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
