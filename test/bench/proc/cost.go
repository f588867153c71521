package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is a clock tick of proc_pid_stat(5): USER_HZ is 100 everywhere.
const tick = 10 * time.Millisecond

// CPU returns the processor time that a process has used so far. It reads the clock of the process,
// which is exact to the nanosecond. /proc has only hundredths of a second.
func CPU(pid int) time.Duration {
	const perProcess = 2 // CPUCLOCK_SCHED, see clock_getcpuclockid(3)
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|perProcess), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// CPU is that of this process.
func (p *Process) CPU() time.Duration { return CPU(p.Pid) }

// ours is the host's /proc, even for a thread that has entered a machine.
var ours, _ = os.OpenRoot("/proc")

// ChildCPU returns the processor time of the children that the process has waited for, so far or at
// its end. It is in whole ticks, so the time of a very short child may not show.
func (p *Process) ChildCPU() time.Duration {
	select {
	case <-p.done:
		return p.ticks
	default:
	}
	text, _ := ours.ReadFile(strconv.Itoa(p.Pid) + "/stat")
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything else
	fields := strings.Fields(rest)
	const cutime = 16 - 3 // counted from the field after the name
	if len(fields) < cutime+2 {
		return 0
	}
	return time.Duration(number(fields[cutime])+number(fields[cutime+1])) * tick
}

// Memory is in bytes.
type Memory struct {
	Resident, Anonymous float64
	Peak                float64 // resident, ever
}

// MemoryOf reads what a process has in memory. Since Linux 6.16 it is exact to the page, and before
// that to some hundred kB.
func MemoryOf(pid int) Memory {
	text, _ := os.ReadFile(path(pid, "status"))
	return Memory{kilobytes(text, "VmRSS"), kilobytes(text, "RssAnon"), kilobytes(text, "VmHWM")}
}

// Wakeups returns how often the threads of a process have gone to sleep so far.
func Wakeups(pid int) (n int) {
	files, _ := filepath.Glob(path(pid, "task/*/status"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		n += number(value(text, "voluntary_ctxt_switches"))
	}
	return n
}

// Written returns how many bytes a process has written so far: by write(2) and its like, also to
// sockets, and how many of them to files on a disk, in whole pages.
func Written(pid int) (calls, disk int) {
	text, _ := os.ReadFile(path(pid, "io"))
	return number(value(text, "wchar")), number(value(text, "write_bytes"))
}

// Reached returns how many bytes anybody has written to a block device so far. That includes inodes,
// directories and the journal of the file system.
func Reached(device string) (int, error) {
	text, err := os.ReadFile("/sys/class/block/" + device + "/stat")
	if err != nil {
		return 0, err
	}
	return reached(string(text))
}

// reached reads the text that Documentation/block/stat.rst describes. Its sectors are always 512
// bytes, whatever the device has.
func reached(stat string) (int, error) {
	const writeSectors = 7 - 1
	fields := strings.Fields(stat)
	if len(fields) <= writeSectors {
		return 0, fmt.Errorf("cannot read the counters of a block device: %q", stat)
	}
	sectors, err := strconv.Atoi(fields[writeSectors])
	return sectors * 512, err
}

// Children returns the processes that a process has started.
func Children(pid int) (pids []int) {
	files, _ := filepath.Glob(path(pid, "task/*/children"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			pids = append(pids, number(field))
		}
	}
	return pids
}

// Named finds a process below another by its name.
func Named(ancestor int, name string) int {
	for _, pid := range Children(ancestor) {
		comm, _ := os.ReadFile(path(pid, "comm"))
		if strings.TrimSpace(string(comm)) == name {
			return pid
		}
		if found := Named(pid, name); found != 0 {
			return found
		}
	}
	return 0
}

func path(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

func kilobytes(text []byte, key string) float64 {
	return float64(number(strings.TrimSuffix(value(text, key), " kB"))) * 1024
}

// value returns the value of a key in a file of lines "key: value".
func value(text []byte, key string) string {
	for line := range strings.Lines(string(text)) {
		if of, value, ok := strings.Cut(line, ":"); ok && of == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // 0 where a process is gone
	return n
}
