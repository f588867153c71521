package gateway

import (
	"io"
	"maps"
	"strings"
	"testing"
)

// entries turns lines into the output of journalctl(1). Each line has fields, separated by
// semicolons. A value that is null or begins with [ is JSON.
func entries(lines ...string) io.Reader {
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(`{"_TRANSPORT":"journal"`)
		for f := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(f, "=")
			if !strings.HasPrefix(value, "[") && value != "null" {
				value = `"` + value + `"`
			}
			text.WriteString(`,"` + key + `":` + value)
		}
		text.WriteString("}\n")
	}
	return strings.NewReader(text.String())
}

func TestTruth(t *testing.T) {
	const (
		of1       = ";_BOOT_ID=b1;UNIT=a.service;INVOCATION_ID=1"
		of2       = ";_BOOT_ID=b1;UNIT=a.service;INVOCATION_ID=2"
		started   = "MESSAGE_ID=" + unitStarted
		failed    = "UNIT_RESULT=exit-code;MESSAGE_ID=" + unitFailed
		ended     = "MESSAGE_ID=" + unitSucceeded
		scheduled = "MESSAGE_ID=" + restartSet
		limit     = "MESSAGE=a.service: Start request repeated too quickly."
		exit3     = "EXIT_CODE=exited;EXIT_STATUS=3;MESSAGE_ID=" + processExited
	)
	tests := []struct {
		name  string
		lines []string
		want  Tally
	}{
		{"starting", []string{"MESSAGE_ID=" + unitStarting + of1}, Tally{Starts: 1, Running: true}},
		{"starting, then started", []string{"MESSAGE_ID=" + unitStarting + of1, started + of1}, Tally{Starts: 1, Running: true}},
		{"stopped", []string{started + of1, ended + of1}, Tally{Starts: 1, Stops: 1}},
		{"crashed", []string{started + of1, exit3 + of1, failed + of1}, Tally{Starts: 1, Crashes: 1, Last: Crash{Result: "exit-code"}}},
		{
			"crashed by its main process",
			[]string{exit3 + ";MESSAGE=a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED" + of1, failed + of1},
			Tally{Starts: 1, Crashes: 1, Last: Crash{"exit-code", "exited", 3}},
		},
		{
			"the next crash forgets the main process of the last",
			[]string{exit3 + ";MESSAGE=a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED" + of1, failed + of1, failed + of2},
			Tally{Starts: 2, Crashes: 2, Last: Crash{Result: "exit-code"}},
		},
		{"failed to start", []string{failed + of1, "MESSAGE_ID=" + unitStartFailed + of1}, Tally{Starts: 1, Crashes: 1, Last: Crash{Result: "exit-code"}}},
		{"skipped by ExecCondition", []string{"MESSAGE_ID=" + unitStarting + of1, "MESSAGE_ID=" + unitSkipped + of1, started + of1}, Tally{Starts: 1, Stops: 1}},
		{
			"restarted",
			[]string{started + of1, failed + of1, scheduled + of1, started + of2},
			Tally{Starts: 2, Crashes: 1, Restarts: 1, Scheduled: 1, Running: true, Last: Crash{Result: "exit-code"}},
		},
		{
			"refused after a crash",
			[]string{started + of1, failed + of1, scheduled + of1, limit + of1, failed + of1},
			Tally{Starts: 1, Crashes: 1, Scheduled: 1, Refused: 1, Last: Crash{Result: "exit-code"}},
		},
		{
			"scheduled twice, restarted once",
			[]string{started + of1, failed + of1, scheduled + of1, scheduled + of1, started + of2},
			Tally{Starts: 2, Crashes: 1, Restarts: 1, Scheduled: 2, Running: true, Last: Crash{Result: "exit-code"}},
		},
		{
			"refused, then started by hand",
			[]string{started + of1, failed + of1, scheduled + of1, limit + of1, failed + of1, started + of2},
			Tally{Starts: 2, Crashes: 1, Scheduled: 1, Refused: 1, Running: true, Last: Crash{Result: "exit-code"}},
		},
		{
			"refused after a stop",
			[]string{started + of1, ended + of1, limit + of1, "UNIT_RESULT=start-limit-hit;MESSAGE_ID=" + unitFailed + of1},
			Tally{Starts: 1, Stops: 1, Refused: 1},
		},
		{
			"could not be restarted",
			[]string{started + of1, failed + of1, "MESSAGE=a.service: Failed to schedule restart job: Unit a.service not found." + of1, failed + of1},
			Tally{Starts: 1, Crashes: 1, Failed: 1, Last: Crash{Result: "exit-code"}},
		},
		{
			"could not be restarted, because what it needs has failed",
			[]string{started + of1, failed + of1, scheduled + of1, "MESSAGE_ID=" + unitStartFailed + of1},
			Tally{Starts: 1, Crashes: 1, Scheduled: 1, Failed: 1, Last: Crash{Result: "exit-code"}},
		},
		{"cleaned", []string{started + of1, ended + of1, ended + of1}, Tally{Starts: 1, Stops: 1}},
		{"a clean that failed", []string{started + of1, ended + of1, exit3 + of1, failed + of1}, Tally{Starts: 1, Stops: 1}},
		{
			"cut by the next boot",
			[]string{started + of1, started + ";_BOOT_ID=b2;UNIT=a.service;INVOCATION_ID=2"},
			Tally{Starts: 2, Stops: 1, Cut: 1, Running: true},
		},
		{"fields that are several", []string{`MESSAGE_ID=["` + unitFailed + `","x"];UNIT_RESULT=["signal","x"]` + of1}, Tally{Starts: 1, Crashes: 1, Last: Crash{Result: "signal"}}},
		{"fields of bytes", []string{"UNIT_RESULT=[111,111,109];MESSAGE_ID=" + unitFailed + of1}, Tally{Starts: 1, Crashes: 1, Last: Crash{Result: "oom"}}},
		{"fields of bytes, several", []string{"UNIT_RESULT=[[111,111,109],[1]];MESSAGE_ID=" + unitFailed + of1}, Tally{Starts: 1, Crashes: 1, Last: Crash{Result: "oom"}}},
		{"a field too long", []string{started + ";MESSAGE=null" + of1}, Tally{Starts: 1, Running: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := truth(entries(tt.lines...))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]Tally{"a.service": tt.want}; !maps.Equal(got, want) {
				t.Errorf("(-want +got)\n- %+v\n+ %+v", want, got)
			}
		})
	}
}

func TestTruthIgnores(t *testing.T) {
	tests := []struct {
		name string
		line string
	}{
		{"a start that a condition forbade", "UNIT=a.service;INVOCATION_ID=;MESSAGE_ID=" + unitStarted},
		{"no invocation", "UNIT=a.service;INVOCATION_ID=null;MESSAGE_ID=" + unitStarted},
		{"other units than services", "UNIT=a.mount;INVOCATION_ID=1;MESSAGE_ID=" + unitStarted},
		{"no unit", "INVOCATION_ID=1;MESSAGE_ID=" + unitStarted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := truth(entries(tt.line))
			if err != nil || len(got) != 0 {
				t.Errorf("got %v, %v, want nothing", got, err)
			}
		})
	}
}

func TestTruthRefuses(t *testing.T) {
	for _, text := range []string{`{"UNIT":`, `{"UNIT":{}}`, `x`} {
		if got, err := truth(strings.NewReader(text)); err == nil {
			t.Errorf("truth(%s) = %v, want an error", text, got)
		}
	}
}

func TestFollow(t *testing.T) {
	const a = ";_BOOT_ID=b;UNIT=a.service;INVOCATION_ID=1"
	journal := func() io.Reader { return entries("MESSAGE_ID="+unitStarted+a, "MESSAGE_ID="+unitSucceeded+a) }
	tests := []struct {
		name string
		done func(Tally) bool
		want Tally
		err  bool
	}{
		{"done at once", func(Tally) bool { return true }, Tally{}, false},
		{"done on the way", func(t Tally) bool { return t.Running }, Tally{Starts: 1, Running: true}, false},
		{"done at the end", func(t Tally) bool { return t.Stops == 1 }, Tally{Starts: 1, Stops: 1}, false},
		{"never done", func(Tally) bool { return false }, Tally{Starts: 1, Stops: 1}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := follow(journal(), "a.service", tt.done)
			if got != tt.want || (err != nil) != tt.err {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
