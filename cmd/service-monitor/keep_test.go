package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// TestHistoryEnds starts a monitor without a history beside the history of an earlier one. It counts on, so no command
// may take the old records for the present ones, whether it knows the configuration or not.
func TestHistoryEnds(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	writeFile(t, state, counted)
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	stopped := store.Record{Kind: store.Monitor, Time: at, To: store.Stopped}
	appendTo := func(records ...store.Record) {
		t.Helper()
		s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Append(records); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(store.Record{Kind: store.Crash, Time: at, Unit: "a.service", Delta: store.Counts{Crashes: 1}, After: store.Counts{Starts: 4, Stops: 3, Crashes: 1, Restarts: 1}}, stopped)
	start := func(size int) {
		t.Helper()
		c := config.Default()
		c.Log.File, c.State.File, c.History.Size = state+".log", state, size
		var o openFiles
		if err := o.open(c); err != nil || len(o.notes) > 0 {
			t.Fatal(err, o.notes)
		}
		o.close()
	}
	want := func(when string, code int, history string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run([]string{"check-state", state}, &out, &errs); got != code || strings.Contains(out.String(), "adds up") != (history != "") {
			t.Errorf("%s: check-state ends with %d, want %d: %s%s", when, got, code, &out, &errs)
		}
		saved, err := ask.Saved(state, func(string) bool { return true }, at)
		if err != nil || !saved.Stopped.IsZero() != (history != "") {
			t.Errorf("%s: by the status, the monitor has stopped at %v (%v)", when, saved.Stopped, err)
		}
		out.Reset()
		if run([]string{"history", "--persistence-file", state}, &out, &errs); !strings.Contains(out.String(), history) || history == "" && strings.Contains(out.String(), "crash") {
			t.Errorf("%s: history has %s%s", when, &out, &errs)
		}
	}

	start(4 << 20)
	want("with its history", exitDataErr, "crash") // it lacks a start and a crash
	start(0)
	want("without", exitOK, "")
	appendTo(store.Record{Kind: store.Many, Flags: store.Untold, Time: at, Until: at, Unit: "a.service", Delta: store.Counts{Starts: 1, Crashes: 1}, After: store.Counts{Starts: 5, Stops: 3, Crashes: 2, Restarts: 1}}, stopped)
	want("with it again", exitOK, "crash")
}
