package main

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline"
)

// fileBacked is how much of files this process has in memory (proc_pid_status(5)).
func fileBacked(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no RssFile")
	return 0
}

// Who drops the ground he stands on still stands.
func TestGive(t *testing.T) {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(program(string(smaps))); n == 0 {
		t.Skip("the addresses of smaps are not ours: this is emulated")
	} else if n != 2 {
		t.Fatalf("%d mappings, want that of the code and that of the constants", n)
	}
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64) })
	t.Setenv("GOMEMLIMIT", "")
	before := fileBacked(t)
	var s spare
	s.give()
	if after := fileBacked(t); after > before-1<<20 {
		t.Errorf("%d bytes of files in memory, and %d before", after, before)
	}
	if limit := debug.SetMemoryLimit(-1); limit <= memoryLimit || limit > memoryLimit+64<<20 {
		t.Errorf("the limit is %d, want %d and what is in use", limit, memoryLimit)
	}
	if s.given == 0 || s.given != s.seen {
		t.Errorf("%+v, want what was allocated", s)
	}
}

// told is a service manager that remembers.
type told struct {
	pipeline.Notifier
	lines []string
}

func (n *told) Notify(state string) { n.lines = append(n.lines, state) }

// Who tells the service manager does not wait for the memory that is given back, however
// long that takes. It is not given back twice at a time, and again in a later round.
func TestHousekeeperDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		manager := new(told)
		var worked []string
		h := keepHouse(manager).(*housekeeper)
		begun := time.Now()
		h.work = func(ready bool) {
			worked = append(worked, fmt.Sprint(time.Since(begun), " ready ", ready))
			time.Sleep(25 * time.Second)
		}
		want := []string{"READY=1\nSTATUS=well", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"}
		for i, state := range want {
			time.Sleep(10 * time.Second)
			if h.Notify(state); time.Since(begun) != time.Duration(i+1)*10*time.Second {
				t.Fatalf("Notify returned after %v", time.Since(begun))
			}
		}
		synctest.Wait()
		if diff := cmp.Diff(want, manager.lines); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"10s ready true", "40s ready false"}, worked); diff != "" {
			t.Errorf("gave back (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
	})
	if keepHouse(nil) != nil {
		t.Error("nobody is told, and house is kept")
	}
}

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		name             string
		burst, lastRound uint64
		ago              time.Duration
		want             bool
	}{
		{"nothing happened", 0, 0, enough / 2, false},
		{"little happened", burst / 2, 0, enough / 2, false},
		{"a burst is over", 2 * burst, 0, enough / 2, true},
		{"a burst goes on", 2 * burst, 2 * calm, enough / 2, false},
		{"long ago", 0, 0, enough, true},
		{"long ago, and a burst goes on", 2 * burst, 2 * calm, enough, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := allocated()
				s := spare{now - tt.burst, now - tt.lastRound, time.Now()}
				was := s.given
				time.Sleep(tt.ago) // virtual
				if s.look(); s.given != was != tt.want {
					t.Errorf("gave back: %t", !tt.want)
				}
			})
		})
	}
}

// codeMapping is the mapping of our code.
func codeMapping(t *testing.T) mapping {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if m, ok := parseMapping(strings.Fields(line)[0]); ok && m.holds(reflect.ValueOf(program).Pointer()) {
			return m
		}
	}
	t.Fatal("our code is nowhere")
	return mapping{}
}

// Only what nobody can write to, or has written to, is dropped.
func TestProgram(t *testing.T) {
	ours := codeMapping(t)
	shifted := mapping{ours.from + 0x1000, ours.to + 0x1000}
	for _, tt := range []struct {
		name  string
		smaps string
		want  []mapping
	}{
		{"code", fmt.Sprintf("%x-%x r-xp 00000000 fe:00 7 /usr/sbin/service-monitor\nRss: 4 kB\nAnonymous: 0 kB\n", ours.from, ours.to), []mapping{ours}},
		{"written to", fmt.Sprintf("%x-%x r-xp 00000000 fe:00 7 /usr/sbin/service-monitor\nRss: 4 kB\nAnonymous: 4 kB\n", ours.from, ours.to), nil},
		{"an emulator's that is almost ours", fmt.Sprintf("%x-%x r-xp 00000000 fe:00 7 /usr/sbin/service-monitor\nRss: 4 kB\nAnonymous: 0 kB\n", shifted.from, shifted.to), nil},
		{"writable", fmt.Sprintf("%x-%x rw-p 00000000 fe:00 7 /usr/sbin/service-monitor\nRss: 4 kB\nAnonymous: 0 kB\n", ours.from, ours.to), nil},
		{"another's", "1000-2000 r-xp 00000000 fe:00 7 /lib/libc.so.6\nRss: 4 kB\nAnonymous: 0 kB\n", nil},
		{"an emulator's", "7f0000000000000000-7f0000000000001000 r-xp 00000000 fe:00 7 /usr/bin/qemu\nAnonymous: 0 kB\n", nil},
		{"nothing", "\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, program(tt.smaps), cmp.AllowUnexported(mapping{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
