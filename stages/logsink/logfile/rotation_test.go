package logfile

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/files"
)

// TestLogRotates writes five megabytes of lines. Each line is complete in one file, no file
// has more than a megabyte, the newest three backups stay, and everybody may read them. Two
// rotations within a millisecond would overwrite a backup, but not even this loop writes a
// megabyte so fast.
func TestLogRotates(t *testing.T) {
	path := logPath(t)
	l := newLog(t, path)
	var written files.Meter
	l.Meter(&written)
	const lines = 5 << 20 / 128
	line := func(i int) string { return fmt.Sprintf("%07d %s\n", i, strings.Repeat("x", 119)) }
	for i := range lines {
		l.put(t, line(i))
	}
	if n := written.Bytes(); n != lines*128 {
		t.Errorf("wrote %d bytes, want %d", n, lines*128)
	}
	await(func() bool { return len(backupsOf(t, path)) == 3 })
	next := lines
	all := append(backupsOf(t, path), path)
	for i := len(all) - 1; i >= 0; i-- {
		b, err := os.ReadFile(all[i])
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(all[i]); err != nil || info.Mode() != 0o644 || info.Size() > 1<<20 {
			t.Errorf("%s: mode %v, %d bytes (%v)", all[i], info.Mode(), info.Size(), err)
		}
		text := string(b)
		for ; text != ""; text = strings.TrimSuffix(text, line(next)) {
			if next--; !strings.HasSuffix(text, line(next)) {
				t.Fatalf("%s: line %d is not where it should be", all[i], next)
			}
		}
	}
	if want := lines - 3*(1<<20/128); next > want {
		t.Errorf("the first line that is left is %d, want at most %d", next, want)
	}
	if name := regexp.MustCompile(`/service-monitor-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$`); !name.MatchString(all[0]) {
		t.Errorf("a backup is named %s", all[0])
	}
}

// TestLogRotatesWhileTheClockIsBehind has a clock that is behind, so a new backup looks like
// the oldest. It is removed, but the file and the other backups stay.
func TestLogRotatesWhileTheClockIsBehind(t *testing.T) {
	path := logPath(t)
	for day := range backups {
		ahead := time.Date(2099, 1, 1+day, 0, 0, 0, 0, time.Local).Format(backupTime)
		if err := os.WriteFile(strings.TrimSuffix(path, ".log")+"-"+ahead+".log", []byte("old\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was := backupsOf(t, path)
	l := newLog(t, path)
	for range 1 << 20 / 128 {
		l.put(t, strings.Repeat("x", 127)+"\n")
	}
	l.put(t, "new\n")
	await(func() bool { return len(backupsOf(t, path)) == backups })
	if diff := cmp.Diff(was, backupsOf(t, path)); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}
	wantText(t, path, "new\n")
}

// await waits until lumberjack's goroutine has done its work, which it does not report.
func await(done func() bool) {
	for !done() {
		runtime.Gosched()
	}
}
