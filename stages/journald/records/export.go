package records

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// fields are the fields of a record that matter. The place, the times and the boot come without
// asking.
const fields = "MESSAGE_ID,UNIT,INVOCATION_ID,UNIT_RESULT,COMMAND,N_RESTARTS,EXIT_CODE,EXIT_STATUS,JOB_ID,MONITOR_MARK,MESSAGE,_PID,_NAMESPACE,_MACHINE_ID,_TRANSPORT,_SOURCE_REALTIME_TIMESTAMP"

// maxField bounds a field that is kept. Those of PID 1 are short.
const maxField = 4096

// A record is an entry of the journal.
type record struct {
	place      Place
	boot       string
	message    string // MESSAGE_ID
	text       string // MESSAGE
	unit       string
	invocation Invocation // zero where there is none
	result     string
	command    string
	restarts   uint32
	exit       exit
	job        uint64
	mark       string
	namespace  string    // of the journal that has it
	machine    string    // machine id of that journal
	pid1       bool      // PID 1 wrote it; journald makes sure of that
	driver     bool      // journald itself wrote it
	at         time.Time // when its writer says that it was written
	received   time.Time // when journald received it
	clock      uint64    // when it was sent, CLOCK_MONOTONIC in µs
}

// An exit is how a main process ended: a CLD_ code of waitid(2) and a status.
type exit struct{ code, status int32 }

// set sets a field. A value that should be a number and is none counts as 0.
func (r *record) set(key, value string) {
	switch key {
	case "__CURSOR":
		r.place = Place(value)
	case "__REALTIME_TIMESTAMP":
		r.received = micros(value)
		if r.at.IsZero() {
			r.at = r.received
		}
	case "_SOURCE_REALTIME_TIMESTAMP":
		r.at = micros(value)
	case "__MONOTONIC_TIMESTAMP":
		r.clock, _ = strconv.ParseUint(value, 10, 64)
	case "_BOOT_ID":
		r.boot = value
	case "MESSAGE_ID":
		r.message = value
	case "MESSAGE":
		r.text = value
	case "UNIT":
		r.unit = value
	case "INVOCATION_ID":
		if n, err := hex.Decode(r.invocation[:], []byte(value)); err != nil || n != len(r.invocation) {
			r.invocation = Invocation{}
		}
	case "UNIT_RESULT":
		r.result = value
	case "COMMAND":
		r.command = value
	case "N_RESTARTS":
		n, _ := strconv.ParseUint(value, 10, 32)
		r.restarts = uint32(n)
	case "EXIT_CODE":
		r.exit.code = map[string]int32{"exited": 1, "killed": 2, "dumped": 3}[value]
	case "EXIT_STATUS":
		n, _ := strconv.ParseInt(value, 10, 32)
		r.exit.status = int32(n)
	case "JOB_ID":
		r.job, _ = strconv.ParseUint(value, 10, 64)
	case "_PID":
		r.pid1 = value == "1"
	case "_TRANSPORT":
		r.driver = value == "driver"
	case "_NAMESPACE":
		r.namespace = value
	case "_MACHINE_ID":
		r.machine = value
	case "MONITOR_MARK":
		r.mark = value
	}
}

func micros(text string) time.Time {
	us, _ := strconv.ParseInt(text, 10, 64)
	return time.UnixMicro(us)
}

// errFormat means that the input is not in the export format.
var errFormat = errors.New("not in the journal export format")

// read returns the next record of the journal export format
// (systemd.io/JOURNAL_EXPORT_FORMATS), or io.EOF.
func read(in *bufio.Reader) (record, error) {
	var r record
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && n == 0:
			return r, io.EOF
		case errors.Is(err, bufio.ErrBufferFull):
			err = skipLine(in) // no field of ours is that long
		case err == nil && len(line) == 1 && n == 0:
			n-- // entries may be separated by more than one empty line
		case err == nil && len(line) == 1:
			// journald knows only when it received the record. That is a little later than
			// when PID 1 wrote it, and PID 1 writes of a failure before it enters the state.
			if late := r.received.Sub(r.at).Microseconds(); late > 0 && uint64(late) < r.clock {
				r.clock -= uint64(late)
			}
			return r, nil
		case err == nil:
			err = field(in, &r, string(line[:len(line)-1]))
		}
		if err != nil {
			return r, fmt.Errorf("%w: %w", errFormat, err)
		}
	}
}

func skipLine(in *bufio.Reader) error {
	for {
		if _, err := in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// field reads a field: a line, and what follows it if the value is not text.
func field(in *bufio.Reader, r *record, line string) error {
	if key, value, ok := strings.Cut(line, "="); ok {
		r.set(key, value)
		return nil
	}
	var size [8]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxField {
		_, err := io.CopyN(io.Discard, in, int64(min(n, 1<<40))+1)
		return err
	}
	value := make([]byte, n+1) // with the newline behind it
	if _, err := io.ReadFull(in, value); err != nil {
		return err
	}
	r.set(line, string(value[:n]))
	return nil
}

// part returns a part of a cursor, which is "s=...;i=...;b=...".
func (p Place) part(key byte) string {
	for part := range strings.SplitSeq(string(p), ";") {
		if len(part) > 2 && part[0] == key && part[1] == '=' {
			return part[2:]
		}
	}
	return ""
}

// less compares hexadecimal numbers without leading zeros.
func less(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}
