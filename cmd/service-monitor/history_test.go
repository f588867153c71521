package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// writeHistory writes a history beside a state file, and returns the path of that.
func writeHistory(t *testing.T) string {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	if _, err := s.Append([]store.Record{
		{Kind: store.Start, Time: at, Unit: "a.service", After: store.Counts{Starts: 1}},
		{Kind: store.Many, Time: at, Until: at, Unit: "a.service", Result: "signal", Code: 2, Status: 9,
			Delta: store.Counts{Starts: 3, Crashes: 3}, After: store.Counts{Starts: 4, Crashes: 3}},
		{Kind: store.Stop, Time: at, Unit: "a.service", After: store.Counts{Starts: 4, Stops: 1, Crashes: 3}},
	}); err != nil {
		t.Fatal(err)
	}
	return state
}

func TestHistoryOutput(t *testing.T) {
	state := writeHistory(t)
	for flags, want := range map[string]string{
		"--json":             "start start crash stop",
		"--json --crashes":   "crash",
		"--json --lines 2":   "crash stop",
		"--json --lines 100": "start start crash stop",
	} {
		var out bytes.Buffer
		if code := run(append([]string{"history", "--persistence-file", state}, strings.Fields(flags)...), &out, io.Discard); code != 0 {
			t.Errorf("%s: exit code %d", flags, code)
		}
		var kinds []string
		for line := range strings.Lines(out.String()) {
			_, kind, _ := strings.Cut(line, `"kind":"`)
			kind, _, _ = strings.Cut(kind, `"`)
			kinds = append(kinds, kind)
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: %s, want %s", flags, got, want)
		}
	}
}

// If the output cannot be written, that is an error.
func TestHistoryToFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err) // every Linux has it
	}
	defer full.Close()
	state := writeHistory(t)
	for _, flag := range []string{"--no-pager", "--json", "--json --lines=1"} {
		if code := run(append([]string{"history", "--persistence-file", state}, strings.Fields(flag)...), full, io.Discard); code == 0 {
			t.Errorf("%s: no error", flag)
		}
	}
}

// The state file was changed since the monitor has stopped: that is told, with what to do.
func TestHistoryDoesNotFit(t *testing.T) {
	state := writeHistory(t)
	s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([]store.Record{{Kind: store.Monitor, Time: time.Unix(0, 0), To: store.Stopped}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	writeFile(t, state, "{}")
	writeFile(t, state+".lock", "")
	var errs bytes.Buffer
	if code := run([]string{"check-state", state}, io.Discard, &errs); code != exitDataErr || !strings.Contains(errs.String(), "start the monitor") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

// An earlier generation of the state file, or a copy of it, has other counts than the history, which has gone on since
// then. That is no fault.
func TestHistoryOfEarlierGeneration(t *testing.T) {
	state := writeHistory(t)
	s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([]store.Record{{Kind: store.Monitor, Time: time.Unix(0, 0), To: store.Stopped}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	const (
		earlier = "it is an earlier generation, so its counts are not compared with the history, which has gone on since\n"
		aCopy   = "no monitor has used it under this name, for there is no state.bak.lock, so its counts are not compared with the history\n"
	)
	writeFile(t, state+".lock", "")
	for suffix, want := range map[string]string{
		"": "", ".previous": earlier, ".before-removal": earlier, ".before-removal.4": earlier, ".corrupt-20260101-000000": earlier, ".bak": aCopy,
	} {
		writeFile(t, state+suffix, "{}")
		var out, errs bytes.Buffer
		code := run([]string{"check-state", state + suffix}, &out, &errs)
		said := strings.Contains(out.String(), "are not compared with the history")
		if !strings.Contains(out.String(), want) || said != (want != "") || (code == 0) != said {
			t.Errorf("%q: exit code %d, %s%s", suffix, code, &out, &errs)
		}
	}
	writeFile(t, state+".previous", unbalanced(t))
	if code := run([]string{"check-state", state + ".previous"}, io.Discard, io.Discard); code != exitDataErr {
		t.Errorf("its counts do not balance: exit code %d", code)
	}
}

// A program that reads the history has whole lines, unless somebody says how wide they may be.
func TestHistoryIsPiped(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("long-", 20)
	if _, err := s.Append([]store.Record{{Kind: store.Crash, Time: time.Now(), Unit: name + ".service", Result: "watchdog", Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: 1}}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for columns, want := range map[string]string{"": name + " crash 1     watchdog, no answer in time\n", "no": name + " crash 1", "50": "long-lon~g-long- crash 1\n          watchdog"} {
		t.Setenv("COLUMNS", columns)
		t.Setenv("LC_ALL", "C")
		var out bytes.Buffer
		if code := run([]string{"history", "-p", state}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("COLUMNS=%s: exit code %d, no %q in\n%s", columns, code, want, &out)
		}
	}
}

// A record that stands for several events is shown, in JSON as in the text, if a part of its time is wanted.
func TestHistoryOverlaps(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	if _, err := s.Append([]store.Record{{Kind: store.Many, Time: at, Until: at.Add(time.Hour), Unit: "a.service", Result: "signal", Code: 2, Status: 9, Delta: store.Counts{Crashes: 3}, After: store.Counts{Crashes: 3}}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for limit, want := range map[string]bool{
		"--since=2026-11-27T10:30:00Z": true, "--until=2026-11-27T10:30:00Z": true, "--since=2026-11-27T11:30:00Z": false, "--until=2026-11-27T10:00:00Z": false,
	} {
		for _, how := range []string{"--json", "--no-pager", "--all"} {
			var out bytes.Buffer
			code := run([]string{"history", "-p", state, limit, how}, &out, io.Discard)
			if got := strings.Contains(out.String(), "SIGKILL") || strings.Contains(out.String(), "3 crashes"); code != 0 || got != want {
				t.Errorf("%s %s: exit code %d, shown: %v\n%s", limit, how, code, got, &out)
			}
		}
	}
}
