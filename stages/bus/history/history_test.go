package history

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// entry writes a journal entry as journalctl does; each is a second later.
type entry struct {
	boot, message, unit string
	invocation          byte
	more                string
}

func lines(entries ...entry) string {
	var b strings.Builder
	for i, e := range entries {
		id := ""
		if e.invocation > 0 {
			id = fmt.Sprintf("%02x%030x", e.invocation, 0)
		}
		fmt.Fprintf(&b, `{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"%d","_BOOT_ID":"%s","MESSAGE_ID":"%s","UNIT":"%s","INVOCATION_ID":"%s"%s}`+"\n",
			i+1, (i+1)*1_000_000, e.boot, e.message, e.unit, id, e.more)
	}
	return b.String()
}

func at(second int64) time.Time { return time.Unix(second, 0) }

func inv(n byte) Invocation { return Invocation{n} }

func TestParse(t *testing.T) {
	const (
		killedBy9 = `,"COMMAND":"ExecStart","EXIT_CODE":"killed","EXIT_STATUS":"9"`
		exited1   = `,"COMMAND":"ExecStartPre","EXIT_CODE":"exited","EXIT_STATUS":"1"`
		bySignal  = `,"UNIT_RESULT":"signal"`
		byExit    = `,"UNIT_RESULT":"exit-code"`
	)
	for _, tt := range []struct {
		name    string
		entries []entry
		want    map[string][]Run
	}{{
		name: "a crash with its cause, a restart and a stop",
		entries: []entry{
			{"b", started, "a.service", 1, ""},
			{"b", processExited, "a.service", 1, killedBy9},
			{"b", failed, "a.service", 1, bySignal},
			{"b", restartSet, "a.service", 1, `,"N_RESTARTS":"3"`},
			{"b", started, "a.service", 2, ""},
			{"b", succeeded, "a.service", 2, ""},
		},
		want: map[string][]Run{"a.service": {
			{Invocation: inv(1), Begun: at(1), Ended: at(3), Result: "signal", Code: 2, Status: 9, Scheduled: 1, NRestarts: 3},
			{Invocation: inv(2), Begun: at(5), Ended: at(6), Result: "success"},
		}},
	}, {
		name: "the exit of another process than the main one is no cause",
		entries: []entry{
			{"b", starting, "a.service", 1, ""}, {"b", processExited, "a.service", 1, exited1}, {"b", failed, "a.service", 1, byExit},
		},
		want: map[string][]Run{"a.service": {{Invocation: inv(1), Begun: at(1), Ended: at(3), Result: "exit-code"}}},
	}, {
		name: "a start limit after a clean exit does not make it a crash",
		entries: []entry{
			{"b", started, "a.service", 1, ""}, {"b", succeeded, "a.service", 1, ""}, {"b", failed, "a.service", 1, `,"UNIT_RESULT":"start-limit-hit"`},
		},
		want: map[string][]Run{"a.service": {{Invocation: inv(1), Begun: at(1), Ended: at(2), Result: "success"}}},
	}, {
		name:    "what has no invocation, or is of another unit, is no run",
		entries: []entry{{"b", started, "a.service", 0, ""}, {"b", started, "b.socket", 1, ""}},
		want:    map[string][]Run{},
	}, {
		name: "a boot that ended in good order, one that did not, and this one",
		entries: []entry{
			{"1", started, "a.service", 1, ""}, {"1", journalStopped, "", 0, ""},
			{"2", journalStarted, "", 0, ""}, {"2", started, "a.service", 2, ""},
			{"3", journalStarted, "", 0, ""}, {"3", started, "a.service", 3, ""},
		},
		want: map[string][]Run{"a.service": {
			{Invocation: inv(1), Begun: at(1), Ended: at(2), Result: Shutdown},
			{Invocation: inv(2), Begun: at(4), Ended: at(4), Result: PowerLoss},
			{Invocation: inv(3), Begun: at(6)},
		}},
	}, {
		name:    "a journald that was restarted did not end the boot",
		entries: []entry{{"1", started, "a.service", 1, ""}, {"1", journalStopped, "", 0, ""}, {"1", journalStarted, "", 0, ""}, {"2", journalStarted, "", 0, ""}},
		want:    map[string][]Run{"a.service": {{Invocation: inv(1), Begun: at(1), Ended: at(3), Result: PowerLoss}}},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := parse(strings.NewReader(lines(tt.entries...)), func(unit string) bool { return strings.HasSuffix(unit, ".service") })
			if err != nil {
				t.Fatal(err)
			}
			l.closeBoots()
			if diff := cmp.Diff(tt.want, l.Units); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			if want := fmt.Sprintf("c%d", len(tt.entries)); l.Cursor != want {
				t.Errorf("cursor %s, want %s", l.Cursor, want)
			}
		})
	}
}

func TestParseFieldsThatAreNotText(t *testing.T) {
	l, err := parse(strings.NewReader(`{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","UNIT":["a.service","b.service"],"MESSAGE_ID":null,"EXIT_CODE":[1,2]}`), func(string) bool { return true })
	if err != nil || len(l.Units) != 0 {
		t.Errorf("read %v (%v), want no run", l.Units, err)
	}
}

func TestParseRefusesWhatIsNotJSON(t *testing.T) {
	if _, err := parse(strings.NewReader(`{"__CURSOR":"c"} Hint: you are not allowed`), func(string) bool { return true }); err == nil {
		t.Error("no error")
	}
}

func TestMarkCompletes(t *testing.T) {
	l, err := parse(strings.NewReader(lines(entry{boot: "b", message: markID})), func(string) bool { return true })
	if err != nil || !l.complete {
		t.Errorf("complete: %v (%v), want true", l.complete, err)
	}
}

func TestCursorTime(t *testing.T) {
	const cursor = "s=222f4a49e7c64e4e96fdb9a597f3d61b;i=76;b=44f690739102431cba23ff0076e28b9f;m=165f6962e;t=660eafd050a46;x=73d46b86ee61fb27"
	if got, want := CursorTime(cursor), uint64(0x660eafd050a46); got != want {
		t.Errorf("CursorTime: %d, want %d", got, want)
	}
	if got := CursorTime("nonsense"); got != 0 {
		t.Errorf("CursorTime: %d, want 0", got)
	}
}

func TestCut(t *testing.T) {
	entries := []entry{
		{"1", started, "a.service", 1, ""}, {"1", journalStopped, "", 0, ""}, {"2", journalStarted, "", 0, ""}, {"3", journalStarted, "", 0, ""},
	}
	l, err := parse(strings.NewReader(lines(entries...)), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, cursor, want string }{
		{"a boot that ended in good order", "s=0;b=1;m=0", Shutdown},
		{"a boot of which nothing is behind the cursor", "s=0;b=0;m=0", PowerLoss},
		{"this boot", "s=0;b=3;m=0", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := l.cut(tt.cursor); got != tt.want {
				t.Errorf("cut: %q, want %q", got, tt.want)
			}
		})
	}
}
