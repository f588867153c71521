package tell

import (
	"strings"
	"testing"
	"time"
)

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		result       string
		code, status int32
		want         string
	}{
		{"exit-code", 1, 1, "exit 1"}, {"exit-code", 1, 217, "217/USER, no such user"}, {"signal", 2, 9, "SIGKILL"}, {"signal", 2, 40, "SIGRTMIN+6"},
		{"core-dump", 3, 6, "SIGABRT, core dumped"}, {"timeout", 2, 15, "timeout"}, {"watchdog", 2, 6, "watchdog, no answer in time"},
		{"oom-kill", 2, 9, "oom-kill, memory was short"}, {"exit-code", 0, 0, "exit-code, of another command"}, {"success", 1, 0, "success"}, {"something-new", 0, 0, "something-new"},
	} {
		if got := Cause(tt.result, tt.code, tt.status); got != tt.want {
			t.Errorf("%s %d %d: %q, want %q", tt.result, tt.code, tt.status, got, tt.want)
		}
	}
	for code, text := range exits {
		if (text != "") != (code >= 200 && code != 223 && code != 234 && code != 244) {
			t.Errorf("%d %q", code, text)
		}
	}
}

// If another command than the main process failed, its result is not told of the main process. The commands are
// those of test/cases.
func TestOtherCommand(t *testing.T) {
	for _, tt := range []struct {
		name         string
		result       string
		code, status int32
		want         string
	}{
		{"ExecStartPre= fails", "exit-code", 0, 0, "exit-code"},
		{"ExecStartPost= or ExecStop= fails", "exit-code", 2, 15, "exit-code"},
		{"ExecStopPost= fails", "exit-code", 1, 0, "exit-code"},
		{"ExecStop= is killed after exit 0", "signal", 1, 0, "signal"},
		{"ExecStop= is killed after exit 3", "signal", 1, 3, "signal"},
		{"ExecStartPre= is killed", "signal", 0, 0, "signal"},
		{"ExecStop= dumps core", "core-dump", 2, 15, "core-dump"},
	} {
		if got := Cause(tt.result, tt.code, tt.status); got != tt.want+", of another command" {
			t.Errorf("%s: %q", tt.name, got)
		}
		if got := Explain(tt.result, tt.code, tt.status); !strings.HasPrefix(got, tt.want+": a command beside the main process ") {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	for _, tt := range []struct {
		result       string
		code, status int32
	}{{"exit-code", 1, 1}, {"signal", 2, 15}, {"core-dump", 3, 6}, {"timeout", 2, 15}, {"protocol", 1, 0}, {"success", 2, 15}} {
		if got := Explain(tt.result, tt.code, tt.status); strings.Contains(got, "beside") || strings.Contains(got, "not by systemctl stop") {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		2 * time.Millisecond: "2 ms", time.Second: "1 s", 1500 * time.Millisecond: "1.5 s", 96 * time.Second: "96 s", 2 * time.Minute: "2m",
		3*time.Hour + 12*time.Minute: "3h 12m", 11*24*time.Hour + 20*time.Hour: "11d 20h", -1: "–",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, result := range []string{"success", "protocol", "timeout", "watchdog", "start-limit-hit", "resources", "oom-kill", "exec-condition", "shutdown", "power-loss", "unknown"} {
		if text := Explain(result, 0, 0); !strings.Contains(text, ": ") {
			t.Errorf("%s: %q", result, text)
		}
	}
	for code := range int32(256) {
		if text := Explain("exit-code", 1, code); len(text) < 20 {
			t.Errorf("exit code %d: %q", code, text)
		}
	}
	for signal := int32(1); signal < 65; signal++ {
		if text := Explain("signal", 2, signal); !strings.HasPrefix(text, "signal ") || !strings.Contains(text, ": ") {
			t.Errorf("signal %d: %q", signal, text)
		}
	}
}
