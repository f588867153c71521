package records

import (
	"bufio"
	"encoding/binary"
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
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Run{}), cmpopts.IgnoreFields(Past{}, "Place"), sort); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// However many runs there are, few are kept, and all are told once; behind those
// that are told, many more are shown.
func TestLedgerIsBounded(t *testing.T) {
	const runs = 5 * hold
	var entries []entry
	for i := range runs {
		id := fmt.Sprintf("INVOCATION_ID=%032x", i+1)
		entries = append(entries, entry{"b", started, "a.service", 0, id}, entry{"b", succeeded, "a.service", 0, id})
	}
	l, told := relate(t, entries...)
	next := 1
	for i, p := range told {
		if len(p.Runs) > 2*hold || i < len(told)-1 && len(p.Runs)-p.NewRuns < hold {
			t.Errorf("%d of %d runs are told", p.NewRuns, len(p.Runs))
		}
		for _, r := range p.Runs[min(i, 1):p.NewRuns] { // but for the last one of the Past before
			if n := int(binary.BigEndian.Uint64(r.Invocation[8:])); n != next || r.Ended.IsZero() {
				t.Fatalf("run %d (%+v), want %d", n, r, next)
			}
			next++
		}
	}
	if next != runs+1 || len(l.units["a.service"].runs) != 1 {
		t.Errorf("%d runs are told and %d kept, want %d and 1", next-1, len(l.units["a.service"].runs), runs)
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
	if diff := cmp.Diff(want, told, cmpopts.IgnoreUnexported(Run{}), cmpopts.IgnoreFields(Past{}, "Place")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
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

// The format is that of systemd.io/JOURNAL_EXPORT_FORMATS.
func TestRead(t *testing.T) {
	binaryField := func(key, value string) string {
		return key + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n"
	}
	for _, tt := range []struct {
		name, text string
		want       record
		err        error
	}{
		{name: "nothing", err: io.EOF},
		{name: "blank lines", text: "\n\n", err: io.EOF},
		{name: "a number", text: "N_RESTARTS=7\nJOB_ID=12\n\n", want: record{restarts: 7, job: 12}},
		{name: "what is no number", text: "N_RESTARTS=x\nEXIT_STATUS=\n\n", want: record{}},
		{name: "what is no invocation", text: "INVOCATION_ID=00ff\n\n", want: record{}},
		{name: "a binary field", text: binaryField("UNIT", "a\nb") + "MONITOR_MARK=m\n\n", want: record{unit: "a\nb", mark: "m"}},
		{name: "a binary field that is long", text: binaryField("MESSAGE", strings.Repeat("x", 2*maxField)) + "UNIT=u\n\n", want: record{unit: "u"}},
		{name: "a line that is long", text: "MESSAGE=" + strings.Repeat("x", 10*maxField) + "\nUNIT=u\n\n", want: record{unit: "u"}},
		{name: "the time of who wrote it", text: "__REALTIME_TIMESTAMP=2\n_SOURCE_REALTIME_TIMESTAMP=1\n\n", want: record{at: time.UnixMicro(1)}},
		{name: "the clock of who wrote it", text: "__REALTIME_TIMESTAMP=9\n__MONOTONIC_TIMESTAMP=50\n_SOURCE_REALTIME_TIMESTAMP=2\n\n", want: record{at: time.UnixMicro(2), clock: 43}},
		{name: "a clock that was set meanwhile", text: "__REALTIME_TIMESTAMP=900\n__MONOTONIC_TIMESTAMP=50\n_SOURCE_REALTIME_TIMESTAMP=2\n\n", want: record{at: time.UnixMicro(2), clock: 50}},
		{name: "cut short", text: "UNIT=u\n", err: errFormat},
		{name: "cut short in a line", text: "UNIT=u", err: errFormat},
		{name: "cut short in a binary field", text: "UNIT\n\x05\x00", err: errFormat},
		{name: "a binary field as long as nothing", text: "UNIT\n\xff\xff\xff\xff\xff\xff\xff\xff", err: errFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := read(bufio.NewReader(strings.NewReader(tt.text)))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(record{}, exit{}), cmpopts.IgnoreFields(record{}, "received")); err == nil && diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(lines(entry{"b", started, "a.service", 1, "N_RESTARTS=1"}))
	f.Add("UNIT\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		in := bufio.NewReader(strings.NewReader(text))
		for n := 0; n <= len(text); n++ {
			if _, err := read(in); err != nil {
				return
			}
		}
		t.Error("it does not end")
	})
}

func TestPlace(t *testing.T) {
	const place = Place("s=222f4a49e7c64e4e96fdb9a597f3d61b;i=76;b=44f690739102431cba23ff0076e28b9f;m=165f6962e;t=660eafd050a46;x=73d46b86ee61fb27")
	if got, want := place.Boot(), "44f690739102431cba23ff0076e28b9f"; got != want {
		t.Errorf("Boot: %s, want %s", got, want)
	}
	if wall, clock := place.Made(); !wall.Equal(time.UnixMicro(0x660eafd050a46)) || clock != 0x165f6962e {
		t.Errorf("Made: %v, %d", wall, clock)
	}
	if wall, clock := Place("nonsense").Made(); wall.Unix() != 0 || clock != 0 {
		t.Errorf("Made, of nonsense: %v, %d", wall, clock)
	}
	for _, tt := range []struct {
		name string
		a, b Place
		want bool
	}{
		{"numbered", "s=1;i=ff;t=9", "s=1;i=100;t=1", true},
		{"the same", "s=1;i=ff;t=9", "s=1;i=ff;t=9", false},
		{"another journal, by its time", "s=1;i=ff;t=8", "s=2;i=1;t=9", true},
		{"nonsense", "nonsense", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.Before(tt.b); got != tt.want {
				t.Errorf("Before: %v, want %v", got, tt.want)
			}
		})
	}
}

// Units that come and go are told when they are over, and forgotten: however many there
// were, few are kept. What was told at a mark is not told again.
func TestPassing(t *testing.T) {
	var told []Past
	l := &ledger{
		wanted: func(string) bool { return true }, passing: func(unit string) bool { return unit != "stays.service" },
		tell: func(p Past) error { told = append(told, p); return nil },
		boot: "b", now: "b", units: make(map[string]*unit), restarts: make(map[string]uint32),
	}
	most := 0
	record := func(unit, message string, n int) {
		t.Helper()
		r := record{boot: "b", pid1: true, unit: unit, message: message, invocation: Invocation{byte(n), byte(n >> 8), byte(n >> 16), 1}, result: "exit-code", clock: uint64(n), at: at(int64(n) + 1)}
		if err := l.add(&r); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(l.units))
	}
	const units = 20_000
	record("stays.service", started, units)
	record("runs.service", started, units+1)
	record("stays.service", succeeded, units)
	for n := range units {
		unit := fmt.Sprintf("run-%d.service", n)
		record(unit, started, n)
		record(unit, failed, n)
		if n%(units/2) != units/2-1 {
			continue
		}
		if err := l.flushAll(); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	for _, p := range told {
		runs += p.NewRuns
		if p.Over && (p.Unit == "stays.service" || p.Unit == "runs.service") {
			t.Errorf("%s is over", p.Unit)
		}
	}
	if runs != units+2 || most > 2*sweepEvery {
		t.Errorf("told %d runs, want %d; %d units were kept at a time", runs, units+2, most)
	}
}
