package row

import (
	"testing"
	"time"
)

func TestKinds(t *testing.T) {
	var (
		b    bool
		n    int
		d    time.Duration
		file string
	)
	retries := Int{Target: &n, Default: 3, Most: 9}
	quiet := Duration{Target: &d, Step: time.Millisecond, Default: time.Second, Least: time.Millisecond, Most: 2 * time.Second}
	interval := Duration{Target: &d, Step: time.Second, Default: time.Minute, Most: Year}
	state := File{Target: &file, Default: "/var/lib/x/state.json"}
	for _, tt := range []struct {
		row  Row
		raw  string
		kind string
		line string
		want any    // the value after Set
		err  string // the error, instead of want
	}{
		{Row{Help: "tries", Value: retries}, "9", "0 to 9", "tries (default 3)", 9, ""},
		{Row{Help: "tries", Value: retries}, "10", "0 to 9", "tries (default 3)", nil, "must be from 0 to 9, found the number 10"},
		{Row{Help: "tries", Value: retries}, "1.5", "0 to 9", "tries (default 3)", nil, "must be a whole number, found the number 1.5"},
		{Row{Help: "of rest", Value: quiet}, "5", "milliseconds, 1 to 2000", "ms of rest (default 1000)", 5 * time.Millisecond, ""},
		{Row{Help: "of rest", Value: quiet}, "0", "milliseconds, 1 to 2000", "ms of rest (default 1000)", nil, "must be from 1 to 2000 milliseconds, found the number 0"},
		{Row{Help: "apart", Value: interval}, "0", "seconds, 0 to 31536000", "seconds apart (default 60)", time.Duration(0), ""},
		{Row{Help: "apart", Value: interval}, `"1"`, "seconds, 0 to 31536000", "seconds apart (default 60)", nil, `must be a whole number of seconds without quotes, found the string "1"`},
		{Row{Flag: "loud", Help: "true or false", Value: Bool{&b}}, "true", "true or false", "as --loud: true or false", true, ""},
		{Row{Flag: "loud", Help: "true or false", Value: Bool{&b}}, "1", "true or false", "as --loud: true or false", nil, "must be true or false without quotes, found the number 1"},
		{Row{Flag: "state", Value: state}, `"y"`, "a string", "as --state", "/var/lib/x/y", ""},
		{Row{Flag: "state", Value: state}, `null`, "a string", "as --state", nil, `must be a file name such as "/var/lib/x/state.json", found null`},
		{Row{Flag: "state", Value: state}, `"/"`, "a string", "as --state", nil, `"/" is a directory; name a file in it`},
	} {
		tt.row.Value.Reset()
		before := tt.row.Value.Get()
		err := tt.row.Value.Set([]byte(tt.raw))
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
			t.Errorf("%s %s: %v, want %s", tt.kind, tt.raw, err, tt.err)
		}
		if tt.want == nil {
			tt.want = before // an error changes nothing
		}
		if got := tt.row.Value.Get(); got != tt.want || tt.row.Value.Kind() != tt.kind || tt.row.Line() != tt.line {
			t.Errorf("%s: %v, %q, %q; want %v, %q, %q", tt.raw, got, tt.row.Value.Kind(), tt.row.Line(), tt.want, tt.kind, tt.line)
		}
	}
}
