package history

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// record is a journal entry. A field that was given twice is an array.
type record struct {
	Cursor     string `json:"__CURSOR"`
	Time       string `json:"__REALTIME_TIMESTAMP"`
	SourceTime text   `json:"_SOURCE_REALTIME_TIMESTAMP"`
	Boot       text   `json:"_BOOT_ID"`
	Message    text   `json:"MESSAGE_ID"`
	Unit       text   `json:"UNIT"`
	Invocation text   `json:"INVOCATION_ID"`
	Result     text   `json:"UNIT_RESULT"`
	Command    text   `json:"COMMAND"`
	NRestarts  text   `json:"N_RESTARTS"`
	ExitCode   text   `json:"EXIT_CODE"`
	ExitStatus text   `json:"EXIT_STATUS"`
}

// text is a field: what is not a string is none that PID 1 writes.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	}
	return nil
}

func (r *record) time() time.Time {
	at := r.Time
	if r.SourceTime != "" {
		at = string(r.SourceTime)
	}
	us, _ := strconv.ParseInt(at, 10, 64)
	return time.UnixMicro(us)
}

// ledger is the history in the making.
type ledger struct {
	Runs
	complete bool // the mark was read
	boots    []*boot
	exits    map[string]exit // main processes that exited, by unit
}

// boot is what is read of one boot of the machine.
type boot struct {
	id      string
	orderly bool           // its journal was stopped
	last    time.Time      // of its last record
	running map[string]int // index of the run that has not ended, by unit
}

type exit struct {
	invocation   Invocation
	code, status int32
}

func parse(in io.Reader, wanted func(string) bool) (*ledger, error) {
	l := &ledger{Runs: Runs{Units: make(map[string][]Run)}, exits: make(map[string]exit)}
	for decoder := json.NewDecoder(in); ; {
		var r record
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return l, nil
		} else if err != nil {
			return nil, err
		}
		l.Cursor = r.Cursor
		b := l.boot(&r)
		switch {
		case r.Message == markID:
			l.complete = true
		case r.Message == journalStarted || r.Message == journalStopped:
			b.orderly = r.Message == journalStopped
		case wanted(string(r.Unit)):
			l.add(b, &r)
		}
	}
}

// boot returns the boot of a record.
func (l *ledger) boot(r *record) *boot {
	if n := len(l.boots); n == 0 || l.boots[n-1].id != string(r.Boot) {
		l.boots = append(l.boots, &boot{id: string(r.Boot), running: make(map[string]int)})
	}
	b := l.boots[len(l.boots)-1]
	b.last = r.time()
	return b
}

// cut is how the boot of a cursor ended.
func (l *ledger) cut(cursor string) string {
	if n := len(l.boots); n == 0 || strings.Contains(cursor, "b="+l.boots[n-1].id) {
		return ""
	}
	if first := l.boots[0]; strings.Contains(cursor, "b="+first.id) {
		return first.cut()
	}
	return PowerLoss // nothing of that boot is behind the cursor, not even its end
}

// closeBoots ends the runs that earlier boots took with them.
func (l *ledger) closeBoots() {
	for _, b := range l.boots[:max(0, len(l.boots)-1)] {
		for unit, i := range b.running {
			run := &l.Units[unit][i]
			run.Ended, run.Result = b.last, b.cut()
		}
	}
}

// cut is the result of the runs that the end of the boot ended.
func (b *boot) cut() string {
	if b.orderly {
		return Shutdown
	}
	return PowerLoss
}

// add adds a record about a unit.
func (l *ledger) add(b *boot, r *record) {
	unit := string(r.Unit)
	var id Invocation
	if n, err := hex.Decode(id[:], []byte(r.Invocation)); err != nil || n != len(id) {
		return // a start that a condition skipped has none
	}
	run := l.run(b, unit, id, r.time())
	switch r.Message {
	case restartSet:
		run.Scheduled++
		run.NRestarts = uint32(status(string(r.NRestarts)))
	case processExited:
		if r.Command == "" || r.Command == "ExecStart" {
			l.exits[unit] = exit{id, code(string(r.ExitCode)), status(string(r.ExitStatus))}
		}
	case failed, succeeded, skipped:
		if run.Ended.IsZero() { // a start limit repeats the end of the run before
			l.end(run, r, l.exits[unit])
			delete(b.running, unit)
		}
	}
}

func (l *ledger) end(run *Run, r *record, main exit) {
	run.Ended = r.time()
	switch r.Message {
	case failed:
		run.Result = string(r.Result)
	case succeeded:
		run.Result = "success"
	case skipped:
		run.Result = "exec-condition"
	}
	if main.invocation == run.Invocation {
		run.Code, run.Status = main.code, main.status
	}
}

// run returns the run of an invocation, the last one or one shortly before it.
func (l *ledger) run(b *boot, unit string, id Invocation, at time.Time) *Run {
	runs := l.Units[unit]
	for i := len(runs) - 1; i >= 0; i-- {
		if runs[i].Invocation == id {
			return &runs[i]
		}
	}
	l.Units[unit] = append(runs, Run{Invocation: id, Begun: at})
	b.running[unit] = len(runs)
	return &l.Units[unit][len(runs)]
}

// code is the CLD_ code of waitid(2) that PID 1 writes by name.
func code(name string) int32 {
	return map[string]int32{"exited": 1, "killed": 2, "dumped": 3}[name]
}

// status is an exit code or a signal number.
func status(text string) int32 {
	n, _ := strconv.ParseInt(text, 10, 32)
	return int32(n)
}
