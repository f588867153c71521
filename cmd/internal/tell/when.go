package tell

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// When reads a time as people write it. "2h" and "30min" are that long before now. "yesterday",
// "today", "2026-11-27", "10:30" and "2026-11-27 10:30:00" are in the zone of now.
func When(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	day := func(n int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+n, 0, 0, 0, 0, now.Location())
	}
	switch text {
	case "now":
		return now, nil
	case "today":
		return day(0), nil
	case "yesterday":
		return day(-1), nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	if ago, ok := before(strings.TrimSuffix(strings.TrimPrefix(text, "-"), " ago")); ok {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf(`must be a time such as 2h, 30min, 3d, yesterday, 10:30, 2026-11-27 or "2026-11-27 10:30", found %q`, text)
}

// before reads how long ago something was.
func before(text string) (time.Duration, bool) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 100_000 {
		return 0, false
	}
	unit, known := map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "seconds": time.Second, "second": time.Second,
		"min": time.Minute, "m": time.Minute, "minutes": time.Minute, "minute": time.Minute, "h": time.Hour, "hours": time.Hour, "hour": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}[strings.TrimSpace(text[len(number):])]
	ago := time.Duration(n) * unit
	return ago, known && ago/unit == time.Duration(n) // a longer time has overflowed
}
