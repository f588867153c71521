package bus

import (
	"testing"

	"service-monitor/stages/journald/records"
)

// The present boot is the last one, also if its clock is behind. Nobody may know which boot that is.
func TestEarlier(t *testing.T) {
	const old, now, late = records.Place("b=1;m=5;t=9"), records.Place("b=2;m=5;t=3"), records.Place("b=2;m=6;t=4")
	for _, tt := range []struct {
		a, b records.Place
		here string
		want bool
	}{
		{old, now, "2", true},
		{now, old, "2", false},
		{now, late, "2", true},
		{late, now, "2", false},
		{records.Beginning, now, "2", true},
		{now, records.Beginning, "2", false},
		{records.Beginning, old, "2", true},
		{old, now, "", false},
		{records.Beginning, now, "", true},
	} {
		if got := earlier(tt.a, tt.b, tt.here); got != tt.want {
			t.Errorf("earlier(%s, %s) in boot %q: %t", tt.a, tt.b, tt.here, got)
		}
	}
}
