package records

import (
	"testing"
	"time"
)

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
		{"the end of a boot, and the boot after it", "s=1;i=f;b=1;t=9", Place("s=1;i=f;b=1;t=9").next("2"), true},
		{"a boot, and its first record, with a clock of before the boot", Place("s=1;i=f;b=1;t=9").next("2"), "s=1;i=12;b=2;m=1;t=3", true},
		{"a boot, and the end of the boot before", Place("s=1;i=f;b=1;t=9").next("2"), "s=1;i=f;b=1;t=9", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.Before(tt.b); got != tt.want {
				t.Errorf("Before: %v, want %v", got, tt.want)
			}
		})
	}
}
