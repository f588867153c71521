package records

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// entry is a journal entry; each is a second later than the one before.
type entry struct {
	boot, message, unit string
	invocation          byte
	more                string // further fields, separated by spaces
}

func at(second int64) time.Time { return time.Unix(second, 0) }

func inv(n byte) Invocation { return Invocation{n} }

// lines writes entries as journalctl does.
func lines(entries ...entry) string {
	var b strings.Builder
	for i, e := range entries {
		fmt.Fprintf(&b, "__CURSOR=s=1;i=%x;b=%s\n__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n_PID=1\nMESSAGE_ID=%s\nUNIT=%s\n",
			i+1, e.boot, (i+1)*1_000_000, (i+1)*1000, e.boot, e.message, e.unit)
		if e.invocation > 0 {
			fmt.Fprintf(&b, "INVOCATION_ID=%02x%030x\n", e.invocation, 0)
		}
		for field := range strings.FieldsSeq(e.more) {
			b.WriteString(strings.ReplaceAll(field, "_SP_", " ") + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// relate returns what a ledger tells of entries.
func relate(t *testing.T, entries ...entry) (l *ledger, told []Past) {
	t.Helper()
	l = &ledger{
		wanted: func(unit string) bool { return strings.HasSuffix(unit, ".service") },
		tell:   func(p Past) error { told = append(told, p); return nil },
		ended: func(boot string) (string, time.Time, error) {
			return map[string]string{"good": Shutdown, "bad": PowerLoss}[boot], at(100), nil
		},
		now: "b", units: make(map[string]*unit), restarts: make(map[string]uint32),
	}
	in := bufio.NewReader(strings.NewReader(lines(entries...)))
	for {
		r, err := read(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = l.add(&r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.flushAll(); err != nil {
		t.Fatal(err)
	}
	return l, told
}

func of(unit string, runs ...Run) Past {
	p := Past{Unit: unit, Runs: runs, NewRuns: len(runs)}
	for _, r := range runs {
		p.Restarts += r.Scheduled
	}
	return p
}

func TestLedger(t *testing.T) {
	const (
		killedBy9 = "COMMAND=ExecStart EXIT_CODE=killed EXIT_STATUS=9"
		exited1   = "COMMAND=ExecStartPre EXIT_CODE=exited EXIT_STATUS=1"
		bySignal  = "UNIT_RESULT=signal"
		byExit    = "UNIT_RESULT=exit-code"
		byLimit   = "UNIT_RESULT=start-limit-hit"
	)
	for _, tt := range []struct {
		name    string
		entries []entry
		want    []Past
	}{{
		name: "a crash with its cause, a restart and a stop",
		entries: []entry{
			{"b", started, "a.service", 1, ""},
			{"b", processExited, "a.service", 1, killedBy9},
			{"b", failed, "a.service", 1, bySignal},
			{"b", restartSet, "a.service", 1, "N_RESTARTS=3"},
			{"b", started, "a.service", 2, ""},
			{"b", succeeded, "a.service", 2, ""},
		},
		want: []Past{of("a.service",
			Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(3), EndClock: 3000, Result: "signal", Code: 2, Status: 9, Scheduled: 1, NRestarts: 3},
			Run{Invocation: inv(2), Begun: at(5), Clock: 5000, Ended: at(6), EndClock: 6000, Result: "success"},
		)},
	}, {
		name: "the exit of another process than the main one is no cause",
		entries: []entry{
			{"b", starting, "a.service", 1, ""}, {"b", processExited, "a.service", 1, exited1}, {"b", failed, "a.service", 1, byExit},
		},
		want: []Past{of("a.service", Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(3), EndClock: 3000, Result: "exit-code"})},
	}, {
		name:    "a start limit after a clean exit does not make it a crash",
		entries: []entry{{"b", started, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""}, {"b", failed, "a.service", 1, byLimit}},
		want: []Past{of("a.service", Run{
			Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), EndClock: 2000, Result: "success", Refused: at(3), Refusal: "start-limit-hit",
		})},
	}, {
		name:    "a start limit behind a run whose end is missing",
		entries: []entry{{"b", started, "a.service", 1, ""}, {"b", restartSet, "a.service", 1, "N_RESTARTS=3"}, {"b", failed, "a.service", 1, byLimit}},
		want: []Past{of("a.service", Run{
			Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(3), EndClock: 3000, Result: Unknown, Scheduled: 1, NRestarts: 3, Refused: at(3), Refusal: "start-limit-hit",
		})},
	}, {
		name: "a restart that the start limit refuses, and a start by hand that it refuses",
		entries: []entry{
			{"b", started, "a.service", 1, ""}, {"b", failed, "a.service", 1, bySignal}, {"b", restartSet, "a.service", 1, "N_RESTARTS=3"}, {"b", failed, "a.service", 1, bySignal},
			{"b", started, "b.service", 2, ""}, {"b", failed, "b.service", 2, bySignal}, {"b", failed, "b.service", 2, bySignal}, {"b", startFailed, "b.service", 2, ""},
		},
		want: []Past{
			of("a.service", Run{
				Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), EndClock: 2000, Result: "signal", Scheduled: 1, NRestarts: 3, Refused: at(4), Refusal: "start-limit-hit",
			}),
			of("b.service", Run{
				Invocation: inv(2), Begun: at(5), Clock: 5000, Ended: at(6), EndClock: 6000, Result: "signal", Refused: at(7), Refusal: "start-limit-hit",
			}),
		},
	}, {
		name: "a restart that cannot be scheduled has no job, which would fail",
		entries: []entry{
			{"b", starting, "a.service", 1, ""}, {"b", failed, "a.service", 1, bySignal}, {"b", startFailed, "a.service", 1, ""}, {"b", failed, "a.service", 1, bySignal},
		},
		want: []Past{of("a.service", Run{
			Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), EndClock: 2000, Result: "signal", Refused: at(4), Refusal: "resources",
		})},
	}, {
		name: "a restart whose job fails with what the unit needs",
		entries: []entry{
			{"b", started, "a.service", 1, ""}, {"b", failed, "a.service", 1, bySignal}, {"b", restartSet, "a.service", 1, "N_RESTARTS=3"}, {"b", startFailed, "a.service", 1, ""},
		},
		want: []Past{of("a.service", Run{
			Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), EndClock: 2000, Result: "signal", Scheduled: 1, NRestarts: 3, Refused: at(4), Refusal: "resources",
		})},
	}, {
		name: "a clean, and one that fails",
		entries: []entry{
			{"b", started, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""},
			{"b", processExited, "a.service", 1, "EXIT_CODE=exited EXIT_STATUS=1"}, {"b", failed, "a.service", 1, byExit},
		},
		want: []Past{of("a.service", Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), EndClock: 2000, Result: "success"})},
	}, {
		name:    "what PID 1 has not written is no run",
		entries: []entry{{"b", started, "a.service", 1, "_PID=4711"}, {"b", failed, "a.service", 1, "MESSAGE_ID=" + markID + " _PID=4711"}},
	}, {
		name:    "what has no invocation, or is of another unit, is no run",
		entries: []entry{{"b", started, "a.service", 0, ""}, {"b", started, "b.socket", 1, ""}},
	}, {
		name: "boots that ended",
		entries: []entry{
			{"good", started, "a.service", 1, ""}, {"good", succeeded, "a.service", 1, ""},
			{"bad", started, "a.service", 2, ""}, {"lost", started, "a.service", 3, ""},
		},
		want: []Past{
			of("a.service", Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), Result: "success"}), {Cut: Shutdown, At: at(100)},
			of("a.service", Run{Invocation: inv(2), Begun: at(3), Clock: 3000}), {Cut: PowerLoss, At: at(100)},
			of("a.service", Run{Invocation: inv(3), Begun: at(4), Clock: 4000}),
		},
	}, {
		name: "a stop by the shutdown is told from one before it",
		entries: []entry{
			{"good", started, "a.service", 1, ""}, {"good", stopping, "a.service", 1, "JOB_ID=211"}, {"good", succeeded, "a.service", 1, ""},
			{"good", stopping, "shutdown.service", 2, "JOB_ID=217"}, {"good", succeeded, "shutdown.service", 2, ""},
			{"good", started, "shutdown.target", 3, "JOB_ID=216"}, {"b", started, "c.socket", 4, ""},
		},
		want: []Past{
			of("a.service", Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(3), Result: "success"}),
			of("shutdown.service", Run{Invocation: inv(2), Begun: at(4), Clock: 4000, Ended: at(5), Result: Shutdown}),
			{Cut: Shutdown, At: at(100)},
		},
	}, {
		name:    "a run that ends badly in the shutdown is still a crash",
		entries: []entry{{"good", stopping, "a.service", 1, "JOB_ID=9"}, {"good", failed, "a.service", 1, "UNIT_RESULT=timeout"}, {"good", started, "shutdown.target", 3, "JOB_ID=8"}, {"b", started, "c.socket", 4, ""}},
		want:    []Past{of("a.service", Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(2), Result: "timeout"}), {Cut: Shutdown, At: at(100)}},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			_, got := relate(t, tt.entries...)
			sort := cmpopts.SortSlices(func(a, b Past) bool { return a.Unit != "" && b.Unit != "" && a.Unit < b.Unit })
			if len(tt.want) > 3 { // the order of boots matters
				sort = cmp.Options{}
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Run{}), cmpopts.IgnoreFields(Past{}, "Place", "Boot", "Next"), sort); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// What was told goes on, and with it the exit of its main process.
func TestLedgerGoesOn(t *testing.T) {
	l, told := relate(t, entry{"b", started, "a.service", 1, ""}, entry{"b", processExited, "a.service", 1, "EXIT_CODE=exited EXIT_STATUS=3"})
	told = told[:0]
	l.tell = func(p Past) error { told = append(told, p); return nil }
	if err := l.add(&record{boot: "b", pid1: true, message: failed, unit: "a.service", invocation: inv(1), result: "exit-code", at: at(3), clock: 3000}); err != nil {
		t.Fatal(err)
	}
	l.flushAll()
	want := []Past{of("a.service", Run{Invocation: inv(1), Begun: at(1), Clock: 1000, Ended: at(3), EndClock: 3000, Result: "exit-code", Code: 1, Status: 3})}
	if diff := cmp.Diff(want, told, cmpopts.IgnoreUnexported(Run{}), cmpopts.IgnoreFields(Past{}, "Place", "Boot", "Next")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// The end of a boot is of that boot, also if the journal has nothing of it.
func TestLedgerBoot(t *testing.T) {
	for boot, entries := range map[string][]entry{
		"good": {{"good", started, "a.service", 1, ""}, {"b", started, "a.service", 2, ""}},
		"lost": {{"b", started, "a.service", 2, ""}},
	} {
		l, told := relate(t)
		l.boot, l.tell = boot, func(p Past) error { told = append(told, p); return nil }
		for in := bufio.NewReader(strings.NewReader(lines(entries...))); ; {
			r, err := read(in)
			if err != nil {
				break
			}
			if err := l.add(&r); err != nil {
				t.Fatal(err)
			}
		}
		l.flushAll()
		for i, p := range told {
			if want := map[bool]string{true: boot, false: "b"}[i < len(told)-1]; p.Boot != want {
				t.Errorf("%s: number %d, %s, is of %q, want %q", boot, i, p.Unit, p.Boot, want)
			}
		}
		if len(told) != len(entries)+1 {
			t.Errorf("%s: told %+v", boot, told)
		}
	}
}

// A run without an end before the next one shows that the journal lacks something, unless the end
// may lie before the place where reading began.
func TestEndless(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []entry
		want    bool
	}{
		{"each run has its end", []entry{{"b", started, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""}, {"b", started, "a.service", 2, ""}, {"b", failed, "a.service", 2, "UNIT_RESULT=exit-code"}, {"b", started, "a.service", 3, ""}}, false},
		{"one has none", []entry{{"b", started, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""}, {"b", started, "a.service", 2, ""}, {"b", started, "a.service", 3, ""}}, true},
		{"the start limit is hit behind one that has none", []entry{{"b", started, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""}, {"b", started, "a.service", 2, ""}, {"b", failed, "a.service", 2, "UNIT_RESULT=start-limit-hit"}}, true},
		{"the first one failed at once, before reading began", []entry{{"b", started, "a.service", 1, ""}, {"b", started, "a.service", 2, ""}}, false},
		{"the first one had no resources, before reading began", []entry{{"b", starting, "a.service", 1, ""}, {"b", failed, "a.service", 2, "UNIT_RESULT=exit-code"}, {"b", starting, "a.service", 2, ""}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if l, _ := relate(t, tt.entries...); l.endless["a.service"] != tt.want {
				t.Errorf("endless: %v, want %v", l.endless, tt.want)
			}
		})
	}
}

func TestLossy(t *testing.T) {
	for _, tt := range []struct {
		name, id, text string
		want           bool
	}{
		{"messages of PID 1", suppressed, "_TRANSPORT=driver MESSAGE=Suppressed_SP_12_SP_messages_SP_from_SP_init.scope", true},
		{"messages of somebody else", suppressed, "_TRANSPORT=driver MESSAGE=Suppressed_SP_12_SP_messages_SP_from_SP_a.service", false},
		{"not by journald", suppressed, "MESSAGE=Suppressed_SP_12_SP_messages_SP_from_SP_init.scope", false},
		{"PID 1 falls silent", "", "MESSAGE=Setting_SP_log_SP_level_SP_to_SP_err.", true},
		{"PID 1 tells more", "", "MESSAGE=Setting_SP_log_SP_level_SP_to_SP_debug.", false},
		{"PID 1 tells somebody else", "", "MESSAGE=Setting_SP_log_SP_target_SP_to_SP_kmsg.", true},
		{"PID 1 tells journald", "", "MESSAGE=Setting_SP_log_SP_target_SP_to_SP_journal-or-kmsg.", false},
		{"somebody else says that it falls silent", "", "_PID=4711 MESSAGE=Setting_SP_log_SP_level_SP_to_SP_err.", false},
		{"PID 1 passes on what a unit says of itself", "", "UNIT=a.service MESSAGE=Setting_SP_log_SP_level_SP_to_SP_err.", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, _ := relate(t, entry{"b", tt.id, "", 0, tt.text})
			if lossy := l.loss != ""; lossy != tt.want {
				t.Errorf("lossy: %v, want %v", lossy, tt.want)
			}
		})
	}
}
