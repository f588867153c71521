package main

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/journald/records"
)

// A monitor that was killed has not said that it stops. Status must not take it for one that runs, nor
// one that hangs for one that was killed.
func TestStatusOfSilentMonitor(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	state := writeHistory(t)
	writeFile(t, state, `{"a.service": {"last_state": "active"}}`)
	open := func() *store.Store {
		s, _, err := store.Open(chronicle.Beside(state), store.Smallest, func(*store.Record) {})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if _, err := s.Append([]store.Record{{Kind: store.Monitor, Time: time.Now(), To: store.Started, Boot: records.Boot()}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	socket := filepath.Join(t.TempDir(), "feed")
	status := func() (string, int) {
		var out bytes.Buffer
		code := run([]string{"status", "-p", state, "--feed", socket}, &out, io.Discard)
		return out.String(), code
	}
	wants := func(when, want string) {
		t.Helper()
		if text, code := status(); !strings.Contains(text, want) || code != exitAttention {
			t.Errorf("%s: exit code %d, no %q in\n%s", when, code, want, text)
		}
	}
	wants("there is no socket", "THE MONITOR IS NOT RUNNING since ")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	wants("nobody listens", "THE MONITOR IS NOT RUNNING since ")
	defer open().Close() // as a monitor that runs
	wants("it is there, and does not listen", "THE MONITOR: it does not answer on")
	if text, _ := status(); strings.Contains(text, "NOT RUNNING") {
		t.Error(text)
	}
}
