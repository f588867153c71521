package records

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The entries are as journalctl(1) of systemd 257 prints them. No machine of the tests has a memory
// controller or systemd-coredump(8). So the entries of these two are as in the source of systemd.
func TestReadWords(t *testing.T) {
	since := time.UnixMicro(1000)
	said := func(n int, rest string) string {
		return fmt.Sprintf(`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"%d","_BOOT_ID":"b","INVOCATION_ID":"r","_SYSTEMD_INVOCATION_ID":"r",%s}`+"\n", 2000+n, rest)
	}
	about := func(n int, run, text string) string {
		return fmt.Sprintf(`{"__REALTIME_TIMESTAMP":"%d","_PID":"1","_SYSTEMD_INVOCATION_ID":"of PID 1","INVOCATION_ID":"%s","MESSAGE":"%s"}`+"\n", 2000+n, run, text)
	}
	ofNone := func(n int, text string) string {
		return fmt.Sprintf(`{"__REALTIME_TIMESTAMP":"%d","_PID":"7","MESSAGE":"%s"}`+"\n", 2000+n, text)
	}
	var many strings.Builder
	for n := range 30 {
		many.WriteString(said(n, fmt.Sprintf(`"SYSLOG_IDENTIFIER":"gw","_PID":"7","MESSAGE":"line %d"`, n)))
	}
	at := func(n int64) time.Time { return time.UnixMicro(2000 + n) }
	for _, tt := range []struct {
		name, in string
		want     Words
	}{
		{"nothing", "", Words{}},
		{"the last lines", many.String(), Words{Lines: []Line{{at(28), "gw[7]", "line 28"}, {at(29), "gw[7]", "line 29"}}}},
		{
			"lines of PID 1 push out no others",
			said(1, `"SYSLOG_IDENTIFIER":"gw","_PID":"7","MESSAGE":"ah"`) +
				said(2, `"SYSLOG_IDENTIFIER":"systemd","_PID":"1","MESSAGE":"a"`) + said(3, `"SYSLOG_IDENTIFIER":"systemd","_PID":"1","MESSAGE":"b"`) +
				said(4, `"SYSLOG_IDENTIFIER":"systemd","_PID":"1","MESSAGE":"failed","MESSAGE_ID":"`+failed+`"`),
			Words{Over: true, Lines: []Line{{at(1), "gw[7]", "ah"}, {at(2), "systemd[1]", "a"}, {at(3), "systemd[1]", "b"}, {at(4), "systemd[1]", "failed"}}},
		},
		{
			"what it used",
			said(1, `"_PID":"1","SYSLOG_IDENTIFIER":"systemd","MESSAGE_ID":"`+consumed+`","CPU_USAGE_NSEC":"46000000","MEMORY_PEAK":"1048576","MESSAGE":"Consumed"`),
			Words{CPU: 46 * time.Millisecond, Memory: 1 << 20, Lines: []Line{{at(1), "systemd[1]", "Consumed"}}},
		},
		{
			"a run cannot say that it has used something, or is over",
			said(1, `"_PID":"7","_COMM":"gw","MESSAGE_ID":"`+consumed+`","CPU_USAGE_NSEC":"9","MESSAGE":"I lie"`) + said(2, `"_PID":"7","_COMM":"gw","MESSAGE_ID":"`+failed+`","MESSAGE":"over"`),
			Words{Lines: []Line{{at(1), "gw[7]", "I lie"}, {at(2), "gw[7]", "over"}}},
		},
		{"a core dump", said(1, `"_PID":"9","MESSAGE_ID":"`+coreDump+`","COREDUMP_PID":"7","MESSAGE":"Process 7 dumped core"`), Words{Core: 7}},
		{
			"a core dump of an earlier run",
			`{"__REALTIME_TIMESTAMP":"999","MESSAGE_ID":"` + coreDump + `","COREDUMP_PID":"7"}` + "\n",
			Words{},
		},
		{
			"bytes, several values, too long, no text at all",
			said(1, `"_COMM":"gw","MESSAGE":[72,255,105,27]`) + said(2, `"_COMM":"gw","MESSAGE":["one","two"]`) + said(3, `"_COMM":"gw","MESSAGE":null`) + said(4, `"_COMM":"gw"`) + said(5, `"_COMM":"gw","MESSAGE":[]`),
			Words{Lines: []Line{{at(4), "gw", ""}, {at(5), "gw", ""}}},
		},
		{"lines that are no JSON", "{nonsense\n" + said(1, `"_COMM":"gw","MESSAGE":{"a":1}`) + said(2, `"_COMM":"gw","MESSAGE":[72,255,105,27]`) + said(3, `"_COMM":"gw","MESSAGE":["one","two"]`), Words{Lines: []Line{{at(2), "gw", "H\uFFFDi\x1b"}, {at(3), "gw", "one"}}}},
		{"an entry of many megabytes", said(1, `"_COMM":"gw","MESSAGE":[`+strings.Repeat(`"x",`, 1<<20)+`"x"]`) + said(2, `"_COMM":"gw","MESSAGE":"ah"`), Words{Lines: []Line{{at(2), "gw", "ah"}}}},
		{"too long", said(1, `"_COMM":"gw","MESSAGE":null`) + said(2, `"_COMM":"gw","MESSAGE":"`+strings.Repeat("é", longest)+`"`), Words{Lines: []Line{{at(1), "gw", "(more than 4096 bytes)"}, {at(2), "gw", strings.Repeat("é", (longest-3)/2) + "…"}}}},
		{
			"of no run, while it ran",
			about(1, "before", "a") + about(2, "r", "b") + ofNone(3, "ah") + about(4, "r", "c") + ofNone(5, "oh") + about(6, "later", "d") + ofNone(7, "no") + about(8, "later", "e"),
			Words{Lines: []Line{{at(2), "[1]", "b"}, {at(3), "[7]", "ah"}, {at(4), "[1]", "c"}, {at(5), "[7]", "oh"}}},
		},
		{
			"of no run, after one that was late",
			ofNone(1, "ah") + about(2, "before", "a") + ofNone(3, "oh") + about(4, "r", "b") + about(5, "later", "c"),
			Words{Lines: []Line{{at(3), "[7]", "oh"}, {at(4), "[1]", "b"}}},
		},
		{
			"of the run before",
			about(1, "before", "a") + ofNone(2, "oh") + about(3, "r", "b") + said(4, `"_PID":"8","MESSAGE":"ah"`),
			Words{Lines: []Line{{at(3), "[1]", "b"}, {at(4), "[8]", "ah"}}},
		},
		{"PID 1 says nothing of the run", ofNone(1, "ah") + about(2, "later", "a") + ofNone(3, "oh"), Words{}},
		{
			"too many of no run", about(0, "r", "a") + ofNone(1, "1") + ofNone(2, "2") + ofNone(3, "3") + about(4, "r", "b") + ofNone(5, "5"),
			Words{Lines: []Line{{at(0), "[1]", "a"}, {at(3), "[7]", "3"}, {at(4), "[1]", "b"}, {at(5), "[7]", "5"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries := slices.Collect(strings.Lines(tt.in))
			slices.Reverse(entries) // journalctl is asked for the newest first
			got, _, err := readWords(strings.NewReader(strings.Join(entries, "")), "r", since, 2)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
