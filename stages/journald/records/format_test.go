package records

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

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
