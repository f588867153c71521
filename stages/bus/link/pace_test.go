package link

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPace(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		pace pace
		at   time.Duration // since the window began
		want time.Duration
		how  way
	}{
		{name: "nothing yet", how: park},
		{name: "one change", pace: pace{now: 2}, how: park},
		{name: "a unit is restarted", pace: pace{now: 6}, at: time.Millisecond, how: look, want: await},
		{name: "it was restarted in the window before", pace: pace{now: 16}, at: window, how: look, want: await},
		{name: "it was restarted some time ago", pace: pace{now: 16}, at: 2 * window, how: park},
		{name: "a crash loop", pace: pace{now: 120}, at: window, how: nap, want: longest},
		{name: "many units", pace: pace{before: 500, now: 10}, how: nap, want: window * enough / 500},
		{name: "a flood", pace: pace{now: 5000}, how: nap, want: shortest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.pace.begun = now
			how, d := tt.pace.next(now.Add(tt.at))
			if how != tt.how || how != park && d != tt.want {
				t.Errorf("got %v for %v, want %v for %v", how, d, tt.how, tt.want)
			}
		})
	}
}

func TestPollSeesWhatCame(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	begun := time.Now()
	if poll(pair[0], time.Millisecond) {
		t.Error("something came from nobody")
	}
	if waited := time.Since(begun); waited < time.Millisecond {
		t.Errorf("waited %v", waited)
	}
	if _, err := unix.Write(pair[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	if !poll(pair[0], time.Minute) {
		t.Error("nothing came")
	}
}
