package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/writer"
	"service-monitor/stages/journald/writer/journaltest"
)

// event returns an event at 2025-07-07 10:15:23.
func event(k classify.Kind, unit string, more ...func(*count.Event)) count.Event {
	e := count.Event{Transition: classify.Transition{
		Kind: k, Unit: unit, Time: time.Date(2025, 7, 7, 10, 15, 23, 987654321, time.Local),
	}, Tally: new(count.Tally)}
	for _, f := range more {
		f(&e)
	}
	return e
}

func states(from, to, sub string) func(*count.Event) {
	return func(e *count.Event) { e.From, e.To, e.SubState = from, to, sub }
}

func cause(result string, code, status int32) func(*count.Event) {
	return func(e *count.Event) { e.Cause = classify.Cause{Result: result, Code: code, Status: status} }
}

func counts(starts, stops, crashes, restarts uint64) func(*count.Event) {
	return func(e *count.Event) {
		e.Tally = &count.Tally{Unit: e.Unit, Starts: starts, Stops: stops, Crashes: crashes, Restarts: restarts}
	}
}

// unknown sets the counter of unknown ends. It must come after counts.
func unknown(ends uint64) func(*count.Event) {
	return func(e *count.Event) { e.Tally.Unknown = ends }
}

func atLeast(e *count.Event) { e.AtLeast = true }
func missed(e *count.Event)  { e.Missed = true }

func often(n uint32) func(*count.Event) { return func(e *count.Event) { e.More = n - 1 } }

func recovered(e *count.Event) { e.Recovered = true }

func untrusted(e *count.Event) { e.Untrusted = true }

// TestLines wants exactly the lines of the Python monitor, because programs of users read
// them.
func TestLines(t *testing.T) {
	const at = "2025-07-07 10:15:23 - "
	for _, tt := range []struct {
		name  string
		event count.Event
		want  string
	}{
		{"start of a move", event(classify.Moved, "wirepas-gateway.service", states("inactive", "active", "running")),
			at + "[INFO] wirepas-gateway.service:  inactive      -> active        (SubState: running)\n"},
		{"the longest state", event(classify.Moved, "a.service", states("deactivating", "unloaded", "dead")),
			at + "[INFO] a.service:  deactivating  -> unloaded      (SubState: dead)\n"},
		{"between sub states", event(classify.Moved, "a.service", states("activating", "activating", "start")),
			at + "[DEBUG] a.service:  activating    -> activating    (SubState: start)\n"},
		{"start", event(classify.Started, "wirepas-gateway.service", counts(1, 0, 0, 0)),
			at + "[INFO] wirepas-gateway.service:  Incrementing start counter -> 1\n"},
		{"stop", event(classify.Stopped, "a.service", counts(4, 3, 0, 0)),
			at + "[INFO] a.service:  Incrementing stop counter -> 3\n"},
		{"end that nobody saw", event(classify.UnknownEnd, "a.service", counts(4, 3, 0, 0), unknown(2), atLeast),
			at + "[WARNING] a.service:  Incrementing unknown-end counter -> 2 (nothing tells how the run ended) (at least: it was not watched)\n"},
		{"crash by a signal", event(classify.Crashed, "mosquitto.service", cause("signal", 2, 9), counts(1, 0, 1, 0)),
			at + "[ERROR] mosquitto.service: **CRASH** (ExitCode: none, Signal: 9 (SIGKILL), Result: signal)\n" +
				at + "[INFO] mosquitto.service:  Incrementing crash counter -> 1\n"},
		{"crash by an exit code", event(classify.Crashed, "hwcheck.service", cause("exit-code", 1, 1), counts(9, 0, 7, 0)),
			at + "[ERROR] hwcheck.service: **CRASH** (ExitCode: 1, Signal: none, Result: exit-code)\n" +
				at + "[INFO] hwcheck.service:  Incrementing crash counter -> 7\n"},
		{"crash without a main process", event(classify.Crashed, "a.service", cause("timeout", 0, 0), counts(1, 0, 1, 0)),
			at + "[ERROR] a.service: **CRASH** (ExitCode: none, Signal: none, Result: timeout)\n" +
				at + "[INFO] a.service:  Incrementing crash counter -> 1\n"},
		{"restart", event(classify.Restarted, "a.service", counts(1, 0, 1, 12)),
			at + "[INFO] a.service:  Incrementing restart counter -> 12\n"},
		{"restart that is all that is known of a run", event(classify.Restarted, "a.service", counts(2, 0, 1, 12), unknown(1), atLeast, missed),
			at + "[INFO] a.service:  Incrementing restart counter -> 12 (at least: it was not watched)\n" +
				at + "[INFO] a.service:  Incrementing start counter -> 2 (at least: it was not watched)\n" +
				at + "[WARNING] a.service:  Incrementing unknown-end counter -> 1 (nothing tells how the run ended) (at least: it was not watched)\n"},
		{"very many restarts of which nothing else is known", event(classify.Restarted, "a.service", counts(902, 0, 1, 912), unknown(901), atLeast, missed, often(900)),
			at + "[INFO] a.service:  Incrementing restart counter -> 912 (by 900) (at least: it was not watched)\n" +
				at + "[INFO] a.service:  Incrementing start counter -> 902 (by 900) (at least: it was not watched)\n" +
				at + "[WARNING] a.service:  Incrementing unknown-end counter -> 901 (by 900) (nothing tells how the run ended) (at least: it was not watched)\n"},
		{"restart that failed", event(classify.GaveUp, "a.service", cause("resources", 2, 9)),
			at + "[ERROR] a.service:  systemd could not restart it, and gave up: the journal says why " +
				"(journalctl _PID=1 UNIT='a.service'; mend that, systemctl daemon-reload, systemctl start 'a.service')\n"},
		{"restart that failed, without a unit file", event(classify.GaveUp, "a.service", cause("not-found", 2, 9)),
			at + "[ERROR] a.service:  systemd could not restart it, and gave up: its unit file is gone " +
				"(put it back, systemctl daemon-reload, systemctl start 'a.service')\n"},
		{"restart that failed because of a bad unit file", event(classify.GaveUp, `a\x2db@%s.service`, cause("bad-setting", 2, 9), recovered),
			at + `[ERROR] a\x2db@%s.service:  systemd could not restart it, and gave up: its unit file has a bad setting ` +
				`(systemd-analyze verify 'a\x2db@%s.service', mend it, systemctl daemon-reload, systemctl start 'a\x2db@%s.service')` +
				" (recovered from the journal)\n"},
		{"restart that failed because of a mask", event(classify.GaveUp, "a.service", cause("masked", 2, 9)),
			at + "[ERROR] a.service:  systemd could not restart it, and gave up: it is masked " +
				"(systemctl unmask 'a.service', systemctl start 'a.service')\n"},
		{"gave up", event(classify.GaveUp, "a.service", cause("start-limit-hit", 1, 1)),
			at + "[ERROR] a.service:  start limit hit: systemd gave up restarting it (systemctl reset-failed, then start it by hand)\n"},
		{"seen", event(classify.Seen, "a.service", states("", "active", "running")),
			at + "[INFO] a.service:  first seen    -> active        (SubState: running)\n"},
		{"seen, not loaded", event(classify.Seen, "setup.service", states("", "unloaded", "dead")),
			at + "[WARNING] setup.service:  not loaded: systemd has no such unit (yet); watched all the same\n"},
		{"forgotten", event(classify.Forgotten, "a.service", states("active", "", "")),
			at + "[INFO] a.service:  no longer monitored; its counters are dropped\n"},
		{"a clock that is wrong", event(classify.Moved, "a.service", states("inactive", "active", "running"), untrusted),
			at + "[INFO] a.service:  inactive      -> active        (SubState: running) (clock not trusted)\n"},
		{"seen by a clock that is wrong", event(classify.Seen, "a.service", states("", "active", "running"), untrusted),
			at + "[INFO] a.service:  first seen    -> active        (SubState: running) (clock not trusted)\n"},
		{"crash by a clock that was wrong", event(classify.Crashed, "a.service", cause("signal", 2, 9), counts(1, 0, 1, 0), recovered, untrusted),
			at + "[ERROR] a.service: **CRASH** (ExitCode: none, Signal: 9 (SIGKILL), Result: signal) (recovered from the journal) (clock not trusted)\n" +
				at + "[INFO] a.service:  Incrementing crash counter -> 1 (recovered from the journal) (clock not trusted)\n"},
		{"what has no line", event(classify.CaughtUp, "a.service", untrusted), ""},
		{"a name with escapes", event(classify.Started, `a-b@c\x2dd.service`, counts(1, 0, 0, 0)),
			at + `[INFO] a-b@c\x2dd.service:  Incrementing start counter -> 1` + "\n"},
		{"a sub state that would forge a line", event(classify.Moved, "a.service", states("active", "failed", "x)\n2025-07-07 10:15:24 - [INFO] b")),
			at + `[INFO] a.service:  active        -> failed        (SubState: x)\n2025-07-07 10:15:24 - [INFO] b)` + "\n"},
		{"a result that would clear the screen", event(classify.Crashed, "a.service", cause("\x1b[2J\x9b2J", 0, 0), counts(1, 0, 1, 0)),
			at + `[ERROR] a.service: **CRASH** (ExitCode: none, Signal: none, Result: \x1b[2J\x9b2J)` + "\n" +
				at + "[INFO] a.service:  Incrementing crash counter -> 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var file bytes.Buffer
			s := New(Config{File: &file, Notes: NewNotes(nil), Debug: func() bool { return true }})
			s.write(&tt.event)
			if err := s.lines.Finish(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, file.String()); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{`a-b@c\x2dd.service: "quoted" é 日本`, `a-b@c\x2dd.service: "quoted" é 日本`},
		{"a\nb\r\tc", `a\nb\r\tc`},
		{"\x00\x1b[31m\x7f", `\x00\x1b[31m\x7f`},
		{"\u0085\u009b\u2028\u202e", `\u0085\u009b\u2028\u202e`},
		{"\x9b2J", `\x9b2J`}, // some terminals take this byte for the begin of an escape sequence
		{"caf\xe9", `caf\xe9`},
	} {
		got := printable(tt.text)
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
		if again := printable(got); again != got {
			t.Errorf("%q: printed twice: %s, want %s", tt.text, again, got)
		}
	}
}

// TestFormatter wants the daemon's own messages to look like the lines about events.
func TestFormatter(t *testing.T) {
	for _, tt := range []struct {
		name  string
		level logrus.Level
		text  string
		data  logrus.Fields
		want  string
	}{
		{"plain", logrus.InfoLevel, "starting", nil, "[INFO] starting"},
		{"fields, by name", logrus.WarnLevel, "refused", logrus.Fields{"unit": "a.service", "signals": 3}, "[WARNING] refused (signals: 3, unit: a.service)"},
		{"error", logrus.ErrorLevel, "cannot reload", logrus.Fields{"error": errors.New("line 3:\nbad")}, `[ERROR] cannot reload (error: line 3:\nbad)`},
		{"control characters", logrus.ErrorLevel, "a\nb", logrus.Fields{"k": "\x1b"}, `[ERROR] a\nb (k: \x1b)`},
		{"debug", logrus.DebugLevel, "x", nil, "[DEBUG] x"},
		{"trace", logrus.TraceLevel, "x", nil, "[DEBUG] x"},
		{"fatal", logrus.FatalLevel, "x", nil, "[CRITICAL] x"},
		{"panic", logrus.PanicLevel, "x", nil, "[CRITICAL] x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &logrus.Entry{Time: time.Date(2025, 7, 7, 10, 15, 23, 0, time.Local), Level: tt.level, Message: tt.text, Data: tt.data}
			got, err := Formatter{}.Format(e)
			if want := "2025-07-07 10:15:23 - " + tt.want + "\n"; err != nil || string(got) != want {
				t.Errorf("line (-want +got):\n-%s+%s(%v)", want, got, err)
			}
		})
	}
}

// BenchmarkLines measures the lines of a crash and its restart in the file and in the
// journal, and when they are folded.
func BenchmarkLines(b *testing.B) {
	var events []count.Event
	for _, e := range []count.Event{
		event(classify.Moved, "a.service", states("active", "failed", "failed")),
		event(classify.Crashed, "a.service", states("active", "failed", "failed"), cause("exit-code", 1, 7), counts(7345, 0, 7345, 7345)),
		event(classify.Restarted, "a.service", counts(7345, 0, 7345, 7346)),
		event(classify.Moved, "a.service", states("failed", "activating", "auto-restart")),
		event(classify.Moved, "a.service", states("activating", "inactive", "dead")),
		event(classify.Started, "a.service", counts(7346, 0, 7345, 7346)),
		event(classify.Moved, "a.service", states("inactive", "active", "running")),
	} {
		e.Invocation = decode.Invocation{0xab}
		events = append(events, e)
	}
	for _, first := range []int{0, 10} {
		b.Run(fmt.Sprint("first ", first), func(b *testing.B) {
			d := journaltest.Start(b)
			j, err := writer.Open(d.Path)
			if err != nil {
				b.Fatal(err)
			}
			d.Stop()
			b.Cleanup(func() { j.Close() })
			s := New(Config{File: io.Discard, Journal: j, Notes: NewNotes(nil), Debug: func() bool { return false }, FoldAfter: first})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				for i := range events {
					s.write(&events[i])
				}
				if n%100 == 0 { // so that the backlog does not fill up
					s.lines.Finish()
				}
			}
		})
	}
}

// TestMessageIDs wants the message IDs never to change, because people filter by them.
func TestMessageIDs(t *testing.T) {
	want := map[classify.Kind][]string{
		classify.Seen:       {"0aa918fea24b430f802d308296670d0b"},
		classify.Moved:      {"2386ae31e1ea49ba8783ae172779299a"},
		classify.Started:    {"1b35bf6905d74330ac38053d362e99b5"},
		classify.Stopped:    {"3769531c6aa04fb699667a9abdce1110"},
		classify.UnknownEnd: {"0d5c31d3c0f6475d97a3f83d9956edbe"},
		classify.Crashed:    {"a9c7ce28cc9d4a2baf64dd96586ff35a", "503ff7240f654eb2ab616c718121229e"},
		classify.Restarted:  {"ba07e2c86b2c41f3b6c8ad951451c43e"},
		classify.GaveUp:     {"93b3fe8c9d8d4bb2be71eb123a39a961"},
		classify.Forgotten:  {"f2b34856c07c41eb9ab4c0e6961c88d0"},
	}
	got := make(map[classify.Kind][]string)
	for k := classify.Seen; k <= classify.Forgotten; k++ {
		e := event(k, "a.service", cause(classify.StartLimitHit, 0, 0))
		for _, id := range ids(&e) {
			if id != "" {
				got[k] = append(got[k], id)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("MESSAGE_ID by kind (-want +got):\n%s", diff)
	}
	failed := event(classify.GaveUp, "a.service", cause(classify.Masked, 0, 0))
	if got := ids(&failed)[0]; got != "693f2736314f45debef3547a6918d841" {
		t.Errorf("MESSAGE_ID of a restart that failed: %s", got)
	}
}
