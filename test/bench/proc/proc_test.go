package proc

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// start starts a script, and returns when it has made its file.
func start(t *testing.T, script string) *Process {
	t.Helper()
	dir := t.TempDir()
	p, err := Start(0, []string{"/bin/sh", "-c", script + "; : >" + dir + "/there; sleep 100 & wait"}, nil, filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	for {
		if _, err := os.Stat(filepath.Join(dir, "there")); err == nil && Named(p.Pid, "sleep") != 0 {
			return p
		}
		select {
		case <-p.Done():
			t.Fatal("it has ended")
		case <-time.After(time.Millisecond):
		}
	}
}

const burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"

// The clock of a process must agree with what wait(2) says.
func TestCPU(t *testing.T) {
	p := start(t, burn)
	before := p.CPU()
	if before < 10*time.Millisecond {
		t.Errorf("a hundred thousand steps took %v", before)
	}
	after := p.Stop()
	if after < before-tick || after > before+time.Second {
		t.Errorf("%v by its clock, and %v in all", before, after)
	}
}

// The time of children is not part of the time of the process.
func TestChildCPU(t *testing.T) {
	p := start(t, "( "+burn+" )")
	own := p.Stop()
	if p.Children() < tick || own > p.Children() || p.ChildCPU() < tick || p.ChildCPU() > p.Children()+tick {
		t.Errorf("%v of its own and %v (%v) of its children", own, p.Children(), p.ChildCPU())
	}
}

func TestReadings(t *testing.T) {
	p := start(t, "echo 0123456789; sleep 0.01; sleep 0.01")
	if m := MemoryOf(p.Pid); m.Resident <= 0 || m.Anonymous <= 0 || m.Peak < m.Resident || m.Anonymous > m.Resident {
		t.Errorf("%+v", m)
	}
	if n := Wakeups(p.Pid); n < 2 {
		t.Errorf("%d wake-ups, but it has waited twice", n)
	}
	if calls, _ := Written(p.Pid); calls != len("0123456789\n") {
		t.Errorf("%d bytes written", calls)
	}
}

func TestReached(t *testing.T) {
	const stat = "     109        0     3368       12       31       25      464       77        0       48       89        0        0        0        0       24       40\n"
	if n, err := reached(stat); n != 464*512 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, stat := range []string{"", "1 2 3 4 5 6", "1 2 3 4 5 6 x"} {
		if n, err := reached(stat); err == nil {
			t.Errorf("%q: %d", stat, n)
		}
	}
	if n, err := Reached("none"); err == nil {
		t.Errorf("no device, and %d", n)
	}
}

func TestStartFails(t *testing.T) {
	if _, err := Start(0, []string{"/nonexistent"}, nil, filepath.Join(t.TempDir(), "out")); err == nil {
		t.Error("it started")
	}
}
