package tell

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// monotonicAgo returns CLOCK_MONOTONIC some time before now, in the boot of asOf.
func monotonicAgo(ago time.Duration) uint64 { return uint64((time.Hour - ago).Microseconds()) }

// A wall clock that was set since a unit changed does not make that longer ago.
func TestLongInAfterStep(t *testing.T) {
	entered := func(ago time.Duration) func(*Unit) {
		return func(u *Unit) { u.Life.StateEntered = monotonicAgo(ago) }
	}
	since := func(ago time.Duration) func(*Unit) {
		return func(u *Unit) { u.Times = count.Times{Phase: count.Up, Clock: monotonicAgo(ago), Boot: "b"} }
	}
	for _, tt := range []struct {
		name string
		u    *Unit
		want time.Duration
	}{
		{"the clock was set forward", unit("a", "active", 5*time.Hour, entered(4*time.Minute)), 4 * time.Minute},
		{"the clock was set forward, and it is up", unit("a", "active", 5*time.Hour, entered(4*time.Minute), since(4*time.Minute)), 4 * time.Minute},
		{"the clock was set back", unit("a", "active", -5*time.Hour, entered(4*time.Minute)), 4 * time.Minute},
		{"the clock was not set", unit("a", "active", 4*time.Minute, entered(4*time.Minute+time.Second)), 4 * time.Minute},
		{"only its sub state is newer", unit("a", "active", 50*time.Minute, entered(4*time.Minute), since(50*time.Minute)), 50 * time.Minute},
		{"its sub state is newer, and the clock was set", unit("a", "active", 5*time.Hour, entered(4*time.Minute), since(50*time.Minute)), 4 * time.Minute},
		{"an old monitor tells nothing of it", unit("a", "active", 5*time.Hour), 5 * time.Hour},
		{"another boot", unit("a", "active", 5*time.Hour, entered(4*time.Minute), func(u *Unit) { u.Life.Cursor = "s=1;i=1;b=a;m=1;t=1;x=1" }), 5 * time.Hour},
		{"the clock was not set then", unit("a", "active", 5*time.Hour, entered(4*time.Minute), func(u *Unit) { u.ChangedUntrusted = true }), 4 * time.Minute},
	} {
		if got, known := asOf().longIn(tt.u); !known || got != tt.want {
			t.Errorf("%s: %v %v, want %v", tt.name, got, known, tt.want)
		}
	}
}

// That holds for crashes, too, in status and in why.
func TestCrashAfterStep(t *testing.T) {
	for _, tt := range []struct {
		name string
		boot string
		wall time.Duration // ago
		want string
	}{
		{"the clock was set forward", "b", 5 * time.Hour, "4m ago"},
		{"the clock was set back", "b", -5 * time.Hour, "4m ago"},
		{"another boot", "a", 5 * time.Hour, "5h ago"},
	} {
		at := noon.Add(-tt.wall)
		u := unit("a.service", "active", time.Minute)
		u.LastCrash = &count.Crash{Time: at, Cause: killed, Boot: tt.boot, Clock: monotonicAgo(4 * time.Minute)}
		s := asOf()
		s.Units = []*Unit{u}
		if got := s.sinceCrash(u.LastCrash); got != tt.want {
			t.Errorf("%s: status says %s", tt.name, got)
		}
		y := &Why{Status: s, Unit: u}
		y.Add(&store.Record{Kind: store.Crash, Unit: u.Unit, Time: at, Result: "signal", Code: 2, Status: 9, Boot: tt.boot, Monotonic: monotonicAgo(4 * time.Minute), Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: 1}})
		var b bytes.Buffer
		if y.Write(&b, Screen{Width: 140, Zone: zone}); !strings.Contains(b.String(), ", "+tt.want) {
			t.Errorf("%s: why says\n%s", tt.name, &b)
		}
	}
}

// A loop goes on if the clock is set in it, and is as long as it is.
func TestLoopAfterStep(t *testing.T) {
	u := unit("a.service", "activating", 0, retries, func(u *Unit) { u.Life.SubState = autoRestart })
	for i, wall := range []time.Duration{-5*time.Hour - 3*time.Minute, -5*time.Hour - 2*time.Minute, -time.Minute, 0} {
		r := store.Record{Kind: store.Crash, Time: noon.Add(wall), Boot: "b", Monotonic: monotonicAgo(time.Duration(3-i) * time.Minute), Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: int64(i) + 1}}
		u.Add(&r, noon)
	}
	u.Crashes, u.LastCrash = 4, &count.Crash{Time: noon, Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}}
	s := asOf()
	s.Units = []*Unit{u}
	if h := u.Health(noon); h != CrashLoop || u.Loop != 4 || u.every() != time.Minute {
		t.Errorf("%s of %d crashes, every %v", h, u.Loop, u.every())
	}
	if long := s.forSeconds(u, CrashLoop); long == nil || *long != 180 {
		t.Errorf("for %v", long)
	}
	var b bytes.Buffer
	if s.Write(&b, Screen{Width: 80, Zone: zone}); !strings.Contains(b.String(), "crash loop        3m ") {
		t.Error(b.String())
	}
}

// A clock that was set back does not keep a service in a loop that was over before.
func TestLoopInTheFuture(t *testing.T) {
	for _, tt := range []struct {
		back time.Duration
		want Health
	}{{5 * time.Hour, Running}, {2 * time.Minute, Running}, {30 * time.Second, CrashLoop}, {0, CrashLoop}, {-9 * time.Minute, CrashLoop}, {-10 * time.Minute, Running}} {
		u := unit("a.service", "active", time.Hour, crashed(3, time.Minute, killed))
		if got := u.Health(noon.Add(-tt.back)); got != tt.want {
			t.Errorf("set back by %v: %s, want %s", tt.back, got, tt.want)
		}
	}
}
