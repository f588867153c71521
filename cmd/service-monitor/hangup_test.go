package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/stages/files/filestest"
)

// TestHangUpDoesNotKill starts the monitor in ways that end before the reloader runs, and after it has run. A
// SIGHUP must kill the monitor in neither case.
func TestHangUpDoesNotKill(t *testing.T) {
	if !filestest.Alone(t) { // the signals are those of the whole process
		return
	}
	runtime.LockOSThread() // so that a signal to this thread was handled when raise returns
	raise := func() {
		if err := syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	dir := t.TempDir()
	once := filepath.Join(dir, "once.json")
	if err := os.WriteFile(once, []byte(`{"max_retries": 0}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, log string
		code      int
	}{
		{"the log cannot be opened", filepath.Join(dir, "none", "m.log"), exitCantCreate},
		{"the pipeline has ended", filepath.Join(dir, "m.log"), exitUnavailable},
	} {
		var out, errs bytes.Buffer
		if code := run([]string{"--config", once, "-l", tt.log, "-p", filepath.Join(dir, "s.json")}, &out, &errs); code != tt.code {
			t.Errorf("%s: exit code %d, want %d, %s", tt.name, code, tt.code, errs.String())
		}
		raise() // without a handler the process ends here
	}
}

// TestEarlyHangUp has a SIGHUP come before the reloader runs. The configuration is read again when it does.
func TestEarlyHangUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.json")
	configure := func(unit string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(`{"monitored_services": ["`+unit+`"]}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("a.service")
	loaded, err := load([]string{"--config", file}, absent)
	if err != nil {
		t.Fatal(err)
	}
	configure("b.service")
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(loaded, nil)
		hangups := make(chan os.Signal, 1)
		m.hangups = hangups
		hangups <- syscall.SIGHUP
		var lists []bus.List
		g := pipeline.New(pipelinetest.NewNotifier(0))
		pipeline.Sink(g, "bus", pipeline.Source(g, "config", newReloader(m)), pipelinetest.Collect(&lists))
		ctx, stop := context.WithCancel(t.Context())
		ended := pipeline.Aside(func() error { return g.Run(ctx) })
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var got []string
		for _, l := range lists {
			got = append(got, strings.Join(l.Services, " "))
		}
		if strings.Join(got, ", ") != "a.service, b.service" {
			t.Errorf("lists %q", got)
		}
	})
}
