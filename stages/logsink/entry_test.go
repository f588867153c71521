package logsink

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// TestFields wants the right fields in the journal for each kind of line.
func TestFields(t *testing.T) {
	for _, tt := range []struct {
		name  string
		event count.Event
		want  []string
	}{{
		name: "crash",
		event: event(classify.Crashed, `a\x2db.service`, states("active", "failed", "failed"), cause("core-dump", 3, 11), counts(5, 1, 3, 2), func(e *count.Event) {
			e.Invocation = decode.Invocation{0xab}
		}),
		want: []string{
			`MESSAGE=a\x2db.service: **CRASH** (ExitCode: none, Signal: 11 (SIGSEGV), Result: core-dump)`, "PRIORITY=3",
			"MESSAGE_ID=a9c7ce28cc9d4a2baf64dd96586ff35a", `MONITOR_UNIT=a\x2db.service`, "MONITOR_FROM=active", "MONITOR_TO=failed",
			"MONITOR_SUB_STATE=failed", "MONITOR_INVOCATION_ID=ab" + strings.Repeat("0", 30), "MONITOR_STARTS=5", "MONITOR_STOPS=1",
			"MONITOR_CRASHES=3", "MONITOR_UNKNOWN=0", "MONITOR_RESTARTS=2", "MONITOR_RESULT=core-dump", "MONITOR_EXIT_CODE=none", "MONITOR_SIGNAL=11 (SIGSEGV)",
		},
	}, {
		name:  "stop, by a clock that was wrong",
		event: event(classify.Stopped, "a.service", counts(1, 1, 0, 0), recovered, untrusted, func(e *count.Event) { e.Time = time.UnixMicro(42) }),
		want: []string{
			"MESSAGE=a.service:  Incrementing stop counter -> 1 (recovered from the journal) (clock not trusted)", "PRIORITY=6",
			"MESSAGE_ID=3769531c6aa04fb699667a9abdce1110", "MONITOR_UNIT=a.service", "MONITOR_FROM=", "MONITOR_TO=", "MONITOR_SUB_STATE=",
			"MONITOR_INVOCATION_ID=", "MONITOR_STARTS=1", "MONITOR_STOPS=1", "MONITOR_CRASHES=0", "MONITOR_UNKNOWN=0", "MONITOR_RESTARTS=0",
			"MONITOR_RECOVERED=1", "MONITOR_TIME=42", "MONITOR_CLOCK=untrusted",
		},
	}, {
		name:  "seen, not loaded",
		event: event(classify.Seen, "a.service", states("", "unloaded", "dead")),
		want: []string{
			"MESSAGE=a.service:  not loaded: systemd has no such unit (yet); watched all the same", "PRIORITY=4",
			"MESSAGE_ID=0aa918fea24b430f802d308296670d0b", "MONITOR_UNIT=a.service", "MONITOR_FROM=", "MONITOR_TO=unloaded",
			"MONITOR_SUB_STATE=dead", "MONITOR_INVOCATION_ID=", "MONITOR_STARTS=0", "MONITOR_STOPS=0", "MONITOR_CRASHES=0", "MONITOR_UNKNOWN=0", "MONITOR_RESTARTS=0",
		},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			id := ids(&tt.event)[0]
			entry := appendFields(appendEntry(nil, line{level(&tt.event, id), id, appendText(nil, &tt.event, id, false)}), &tt.event)
			for field := range strings.Lines(string(entry)) {
				got = append(got, strings.TrimSuffix(field, "\n"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}
