//go:build booted

package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDirectoriesGone removes the directories of the daemon while it runs. The daemon reports that
// and says what to do. If that is done, nothing is lost.
func TestDirectoriesGone(t *testing.T) {
	t.Parallel() // it mostly waits
	const unit = "up.service"
	b := bootBed(t, map[string]string{unit: stays}, []string{unit})
	b.sh("systemctl start service-monitor; systemctl start up")
	before := b.cursor()
	b.sh("rm -r " + stateDir + " " + logDir + "; systemctl restart up")
	b.awaitLog(before, "cannot write the log file", "the directory "+logDir+" is gone", "systemctl bind service-monitor "+logDir)
	said := b.awaitLog(before, "state is not saved", "the directory "+stateDir+" is gone", "systemctl bind service-monitor "+stateDir)
	b.sh(command(t, said, "make it again: ", ";") + "; install -d -m 750 -o service-monitor " + logDir)
	version, err := b.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{stateDir, logDir} {
		if version >= knowsLater {
			b.sh("systemctl bind service-monitor " + dir)
		} else { // the manual says to do this
			b.sh("nsenter -m -t $(systemctl show -P MainPID service-monitor) sh -c 'mount --bind " + dir + " " + dir + " && mount -o remount,bind,rw " + dir + "'")
		}
	}
	b.awaitProperty("StatusText", "no failure", func(value string) bool { return value == "watching 1 services, 1 active" })
	b.wantTruth(unit) // the counts are saved by now
	if text := b.readLog(); strings.Count(text, "Incrementing stop counter") != 1 {
		t.Errorf("the log lacks what was not written at once:\n%s", text)
	}
	b.sh("systemctl stop service-monitor")
	b.wantShow("Result", "success")
}

// command returns the command that a line says to run.
func command(t *testing.T, line, before, after string) string {
	t.Helper()
	_, rest, ok := strings.Cut(line, before)
	told, _, ended := strings.Cut(rest, after)
	if !ok || !ended {
		t.Fatalf("there is no command in %q", line)
	}
	return told
}

// TestStateGone removes the state file of a stopped daemon. The daemon begins at zero and reports
// that as an error. After --clear it reports nothing.
func TestStateGone(t *testing.T) {
	t.Parallel() // it mostly waits
	const unit, gone = "up.service", "the state file is gone"
	b := bootBed(t, map[string]string{unit: stays}, []string{unit})
	b.sh("systemctl start service-monitor up; systemctl stop service-monitor; rm -f " + stateFile + " " + stateFile + ".previous")
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	b.awaitLog("", gone, stateFile, "counting from zero")
	if text := b.readLog(); !strings.Contains(text, "[ERROR] "+gone) {
		t.Errorf("the log does not say that the state is gone:\n%s", text)
	}
	b.sh("/opt/service-monitor --clear; systemctl start service-monitor; systemctl stop service-monitor")
	if text := b.readLog(); strings.Contains(text, gone) {
		t.Errorf("the log says that the state is gone, which was cleared:\n%s", text)
	}
}

// TestStateGoneUnread removes the state file while the journal cannot be read. After a restart the
// monitor still knows that it has to read the journal back, and counts nothing twice.
func TestStateGoneUnread(t *testing.T) {
	t.Parallel() // it mostly waits
	units := slices.Sorted(maps.Keys(lively))
	b := bootBed(t, maps.Clone(lively), append(units, "l*.service"))
	b.put(dropIns+"path.conf", "[Service]\nEnvironment=PATH=/opt/refusing:/usr/bin:/bin\n")
	if err := b.WriteFile("/opt/refusing/journalctl", refusing, 0o755); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl daemon-reload; systemctl start service-monitor; " + allLoops)
	b.awaitCrashes("loop-exit.service", 3)
	b.sh(noLoops + "; systemctl stop service-monitor; journalctl --sync; rm -f " + stateFile + " " + stateFile + ".previous; touch /run/refuse")
	b.sh("systemctl start service-monitor")
	b.wantOpen("Too many open files")
	b.sh(some)
	b.sh("systemctl restart service-monitor; " + some)
	b.wantOpen("Too many open files")
	b.sh("systemctl stop service-monitor; " + some + "; rm /run/refuse; systemctl start service-monitor; systemctl stop service-monitor")
	b.wantTruth(units...)
	if t.Failed() {
		t.Logf("log:\n%s", b.readLog())
	}
}

// TestStopWhileStarting stops the daemon while its start waits for the disk. fanotify(7) holds the
// daemon when it opens the state file.
func TestStopWhileStarting(t *testing.T) {
	b := bootBed(t, nil, []string{"up.service"})
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	group, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_LARGEFILE)
	if err != nil {
		t.Fatal(err)
	}
	held := os.NewFile(uintptr(group), "fanotify")
	defer held.Close() // lets all processes go on
	seen := fmt.Sprintf("/proc/%d/root%s", b.Leader(), stateFile)
	if err := unix.FanotifyMark(group, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM, unix.AT_FDCWD, seen); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start --no-block service-monitor")
	event := make([]byte, 4096)
	if _, err := held.Read(event); err != nil { // the daemon opens the file
		t.Fatal(err)
	}
	b.sh("systemctl stop service-monitor")
	b.wantShow("Result", "success")
	b.wantShow("ExecMainStatus", "0")
	b.wantShow("ExecMainCode", "1") // CLD_EXITED
}
