package link

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		pace pace
		at   time.Duration // since the window began
		want time.Duration
	}{
		{name: "nothing yet"},
		{name: "a unit is restarted", pace: pace{now: 16}, at: time.Millisecond},
		{name: "and again", pace: pace{now: 16, before: 32}, at: window},
		{name: "a crash loop", pace: pace{now: 120}, at: window, want: longest},
		{name: "many units", pace: pace{before: 1000, now: 10}, want: window * enough / 1000},
		{name: "a flood", pace: pace{now: 5000}, want: shortest},
		{name: "it was a flood", pace: pace{now: 5000}, at: window, want: shortest},
		{name: "it was one some time ago", pace: pace{now: 5000}, at: 2 * window},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.pace.begun = now
			if got := tt.pace.next(now.Add(tt.at)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSleep sleeps until it has slept for the whole time once: a signal, such as the
// runtime sends on a busy machine, ends it sooner. No machine is too slow for this.
func TestSleep(t *testing.T) {
	for begun := time.Now(); ; begun = time.Now() {
		sleep(time.Millisecond)
		if time.Since(begun) >= time.Millisecond {
			return
		}
	}
}
