package tell

import (
	"testing"
	"time"
	_ "time/tzdata" // this machine may have no zones
)

func TestWhen(t *testing.T) {
	now := time.Date(2026, 11, 27, 10, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"2h": "2026-11-27 08:30:00", "30min": "2026-11-27 10:00:00", "5 minutes ago": "2026-11-27 10:25:00", "-3d": "2026-11-24 10:30:00", "1 week ago": "2026-11-20 10:30:00",
		"yesterday": "2026-11-26 00:00:00", "today": "2026-11-27 00:00:00", "now": "2026-11-27 10:30:00", "09:15": "2026-11-27 09:15:00",
		"2026-11-01": "2026-11-01 00:00:00", "2026-11-01 12:00": "2026-11-01 12:00:00", "2026-11-01 12:00:07": "2026-11-01 12:00:07",
	} {
		if got, err := When(text, now); err != nil || got.Format(time.DateTime) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "tomorow", "2 fortnights", "h", "-", "99999999999h", "20000w", "2026-13-01"} {
		if got, err := When(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	helsinki, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		t.Fatal(err)
	}
	set := time.Date(2026, 10, 25, 12, 0, 0, 0, helsinki) // the clocks were set back at 4:00
	if got, err := When("10:30", set); err != nil || got.Format(time.TimeOnly) != "10:30:00" {
		t.Errorf("after the change to winter time: %v, %v", got, err)
	}
}
