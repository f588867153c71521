package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/journald/writer/journaltest"
)

func start(t *testing.T) (*Journal, *journaltest.Journald) {
	t.Helper()
	d := journaltest.Start(t)
	j, err := Open(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, d
}

// messages returns the messages of entries. It marks the warning about missing ones.
func messages(entries []map[string]string) (got []string) {
	for _, e := range entries {
		if e["PRIORITY"] == "4" {
			e["MESSAGE"] = "warning: " + e["MESSAGE"]
		}
		got = append(got, e["MESSAGE"])
	}
	return got
}

// drain reads and retries until no entry waits.
func drain(j *Journal, d *journaltest.Journald) (got []string) {
	for done := false; !done; {
		got = append(got, messages(d.Read())...)
		done = j.Retry()
	}
	return append(got, messages(d.Read())...)
}

func TestWrite(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []Field
		want   map[string]string
	}{
		{"text", []Field{{"MESSAGE", "a b"}, {"PRIORITY", "6"}}, map[string]string{"MESSAGE": "a b", "PRIORITY": "6"}},
		{"empty", []Field{{"MONITOR_FROM", ""}}, map[string]string{"MONITOR_FROM": ""}},
		{"equal signs", []Field{{"MESSAGE", "a=b=c"}}, map[string]string{"MESSAGE": "a=b=c"}},
		{"a field that would forge another", []Field{{"MESSAGE", "a\nPRIORITY=0\n"}}, map[string]string{"MESSAGE": "a\nPRIORITY=0\n"}},
		{"newlines alone", []Field{{"MESSAGE", "\n\n"}, {"PRIORITY", "6"}}, map[string]string{"MESSAGE": "\n\n", "PRIORITY": "6"}},
		{"binary", []Field{{"MESSAGE", "\x00\xff\x1b[2J"}}, map[string]string{"MESSAGE": "\x00\xff\x1b[2J"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, d := start(t)
			j.Write(tt.fields...)
			tt.want["SYSLOG_IDENTIFIER"] = "service-monitor"
			if diff := cmp.Diff([]map[string]string{tt.want}, d.Read()); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeverWaits writes to a journald that does not read. If a write waited, this test would
// never end. When journald reads again, the entries come in order, and an entry says how
// many are missing, in their place.
func TestNeverWaits(t *testing.T) {
	j, d := start(t)
	const written = 3 * backlog
	for i := range written {
		j.Write(Field{"MESSAGE", fmt.Sprint(i)})
	}
	if j.Retry() {
		t.Error("nothing waits, though journald does not read")
	}
	got := drain(j, d)
	j.Write(Field{"MESSAGE", "later"})
	got = append(got, messages(d.Read())...)

	kept := len(got) - 2
	if kept < backlog || kept >= written {
		t.Fatalf("%d entries came, want the backlog and what the socket holds", kept)
	}
	want := make([]string, kept)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	want = append(want, fmt.Sprintf("warning: the journal took no more: %d lines are missing here; the log file has them", written-kept), "later")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestGapWaits wants the entry about missing ones to wait as well.
func TestGapWaits(t *testing.T) {
	j, d := start(t)
	for len(j.ends) == 0 {
		j.Write(Field{"MESSAGE", "fills the socket"})
	}
	j.waiting, j.ends, j.dropped = nil, nil, 5
	if j.Retry() {
		t.Error("nothing waits, though journald has not been told of the gap")
	}
	got := drain(j, d)
	if want := "warning: the journal took no more: 5 lines are missing here; the log file has them"; got[len(got)-1] != want {
		t.Errorf("the last entry is %q, want %q", got[len(got)-1], want)
	}
}

// TestKeepsOrder wants a later entry not to overtake an earlier one that waits.
func TestKeepsOrder(t *testing.T) {
	j, d := start(t)
	var want, got []string
	for i := range backlog {
		j.Write(Field{"MESSAGE", fmt.Sprint(i)})
		want = append(want, fmt.Sprint(i))
		if i%300 == 0 {
			got = append(got, messages(d.Read())...)
		}
	}
	if diff := cmp.Diff(want, append(got, drain(j, d)...)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestAlwaysBehind wants the buffer not to outgrow the backlog if journald is always behind.
func TestAlwaysBehind(t *testing.T) {
	j, d := start(t)
	var want, got []string
	for i := range 20 * backlog {
		j.Write(Field{"MESSAGE", fmt.Sprint(i)})
		want = append(want, fmt.Sprint(i))
		if len(j.ends)-j.sent > backlog-100 { // journald reads some
			got = append(got, messages(d.Read())...)
			j.Retry()
		}
		if len(j.ends) > 3*backlog/2+1 {
			t.Fatalf("%d entries are kept", len(j.ends))
		}
	}
	if diff := cmp.Diff(want, append(got, drain(j, d)...)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if cap(j.waiting) > keepSize {
		t.Errorf("%d bytes are kept for what waits, though nothing does", cap(j.waiting))
	}
}

// TestAdd wants entries of Add to be sent with the next Write.
func TestAdd(t *testing.T) {
	j, d := start(t)
	j.Add(AppendField(nil, "MESSAGE", "a"))
	j.Add(AppendField(nil, "MESSAGE", []byte("b")))
	if got := d.Read(); got != nil {
		t.Errorf("%q came at once", got)
	}
	j.Write(Field{"MESSAGE", "c"})
	if diff := cmp.Diff([]string{"a", "b", "c"}, messages(d.Read())); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestRestart(t *testing.T) {
	j, d := start(t)
	j.Write(Field{"MESSAGE", "before"})
	got := messages(d.Read())
	d.Stop()
	j.Write(Field{"MESSAGE", "while it is stopped"})
	if j.Retry() {
		t.Error("nothing waits, though journald is stopped")
	}
	d.Restart()
	j.Write(Field{"MESSAGE", "after"})
	got = append(got, messages(d.Read())...)
	if diff := cmp.Diff([]string{"before", "while it is stopped", "after"}, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestLeavesRoom wants the entries on the way to journald to leave room for other programs,
// so that PID 1 never waits for long.
func TestLeavesRoom(t *testing.T) {
	j, d := start(t)
	usual := Field{"MESSAGE", strings.Repeat("x", 450)}
	for range 20 {
		j.Write(usual)
	}
	if got := len(d.Read()); got < 3 || got > 7 {
		t.Errorf("%d entries were on the way, want some, but less than ten", got)
	}
}

// TestLarge sends an entry larger than share.
func TestLarge(t *testing.T) {
	j, d := start(t)
	want := []string{strings.Repeat("x", 50_000), "next"}
	for _, message := range want {
		j.Write(Field{"MESSAGE", message})
	}
	if diff := cmp.Diff(want, append(messages(d.Read()), drain(j, d)...)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestTooLarge wants an entry that fits into no datagram not to hold up the next ones.
func TestTooLarge(t *testing.T) {
	j, d := start(t)
	j.Write(Field{"MESSAGE", strings.Repeat("x", 1<<24)})
	j.Write(Field{"MESSAGE", "next"})
	want := []string{"warning: the journal took no more: 1 lines are missing here; the log file has them", "next"}
	if diff := cmp.Diff(want, messages(d.Read())); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestManyWriters writes from several goroutines, as the sink and other stages do.
func TestManyWriters(t *testing.T) {
	j, d := start(t)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				j.Write(Field{"MESSAGE", "x"})
				j.Retry()
			}
		})
	}
	writers.Wait()
	if got := len(drain(j, d)); got != 800 {
		t.Errorf("%d entries came, want 800", got)
	}
}

func TestNone(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "socket")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v, want %v", err, fs.ErrNotExist)
	}
	var j *Journal
	j.Write(Field{"MESSAGE", "x"})
	j.Add(nil)
	if !j.Retry() {
		t.Error("something waits for a journal that is not there")
	}
}
