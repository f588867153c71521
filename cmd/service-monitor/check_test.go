package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// noUnit makes --check find no user of the unit. Otherwise a process of root would give up its
// rights and take those of that user. That is tested on booted machines.
func noUnit(t *testing.T) {
	t.Helper()
	old := unitUser
	unitUser = "no such user"
	t.Cleanup(func() { unitUser = old })
}

// TestCheckFiles gives --check paths that cannot be files of the monitor. A start must fail
// with the same error, where the test can try one.
func TestCheckFiles(t *testing.T) {
	noUnit(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	const good = "the configuration is good"
	for _, tt := range []struct {
		name  string
		make  func(path string) error
		log   string // the error of --check for the log file contains it
		state string // the same for the state file
		hangs bool   // a start may hang, so it is not tried
	}{
		{"nothing", func(string) error { return nil }, good, good, false},
		{"file", func(path string) error { return os.WriteFile(path, []byte("{}"), 0o644) }, good, good, false},
		{"link to nothing yet", func(path string) error { return os.Symlink("x", path) }, good, good, false},
		{"directory", func(path string) error { return os.Mkdir(path, 0o755) }, "is a directory, not", "is a directory, not", false},
		{"named pipe", func(path string) error { return unix.Mkfifo(path, 0o666) }, "is a named pipe, not", "is a named pipe, not", true},
		{"link to a named pipe", func(path string) error {
			return cause(unix.Mkfifo(path+"x", 0o666), os.Symlink(path+"x", path))
		}, "is a named pipe, not", "is a named pipe, not", true},
		{"socket", func(path string) error {
			_, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			return err
		}, "is a socket, not", "is a socket, not", false},
		{"device", func(path string) error { return os.Symlink("/dev/null", path) }, "is a device, not", "is a device, not", true},
		{"link to itself", func(path string) error { return os.Symlink(path, path) }, "too many levels of symbolic links", "too many levels of symbolic links", true},
		{"link into nothing", func(path string) error { return os.Symlink("none/x", path) }, "there is no directory ", "there is no directory ", false},
		{"lock is a directory", func(path string) error { return os.Mkdir(path+".lock", 0o755) }, "f.lock is a directory", "f.lock is a directory", false},
		{"lock is a link to nothing", func(path string) error { return os.Symlink("x", path+".lock") }, "f.lock is a symbolic link", "f.lock is a symbolic link", false},
		{"only the generation before is there, and is a directory", func(path string) error { return os.Mkdir(path+".previous", 0o755) }, good, "f.previous is a directory", false},
		{"only the generation before is there, and is a link", func(path string) error { return os.Symlink("x", path+".previous") }, good, "f.previous is a symbolic link", false},
		{"the generation before is not read", func(path string) error {
			return cause(os.WriteFile(path, []byte("{}"), 0o644), unix.Mkfifo(path+".previous", 0o666))
		}, good, good, false},
		{"what is left of a save is a named pipe", func(path string) error { return unix.Mkfifo(path+".tmp", 0o666) }, good, good, false},
		{"what is left of a save is a link", func(path string) error { return os.Symlink("x", path+".tmp") }, good, good, false},
		{"what is left of a save is an empty directory", func(path string) error { return os.Mkdir(path+".tmp", 0o755) }, good, good, false},
		{"what is left of a save is a directory", func(path string) error { return os.MkdirAll(path+".tmp/x", 0o755) }, good, "f.tmp is a directory", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for flag, want := range map[string]string{"-l": tt.log, "-p": tt.state} {
				wantLike(t, tt.make, flag, want, !tt.hangs)
			}
		})
	}
}

// cause returns the first error.
func cause(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// wantLike makes something at a path, and wants --check to say this about it as the file of a
// flag, and to change nothing. If start is true, a start must come to the same result.
func wantLike(t *testing.T, make func(path string) error, flag, want string, start bool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "check-") // a short name: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, once := filepath.Join(dir, "f"), filepath.Join(dir, "once.json")
	if err := cause(make(path), os.WriteFile(once, []byte(`{"max_retries": 0}`), 0o644)); err != nil {
		t.Fatal(err)
	}
	args := []string{"--config", once, "-l", filepath.Join(dir, "l"), "-p", filepath.Join(dir, "p"), flag, path}
	before := names(t, dir)
	var said bytes.Buffer
	code := run(append(args, "--check"), &said, &said)
	wantCode, startCode := exitCantCreate, exitCantCreate
	if strings.HasPrefix(want, "the configuration is good") {
		wantCode, startCode = exitOK, exitUnavailable // there is no bus
	}
	if code != wantCode || !strings.Contains(said.String(), want) {
		t.Errorf("%s: exit code %d, %s; want %d, %s", flag, code, said.String(), wantCode, want)
	}
	if after := names(t, dir); after != before {
		t.Errorf("--check left %s of %s", after, before)
	}
	if !start {
		return
	}
	if code := run(args, &said, &said); code != startCode {
		t.Errorf("%s: a start ends with %d, want %d: %s", flag, code, startCode, said.String())
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// TestCheckSays wants a configuration of the Python monitor to be good. The output names the
// keys that are not used, and says what a relative path means.
func TestCheckSays(t *testing.T) {
	noUnit(t)
	dir := t.TempDir()
	python := filepath.Join(dir, "python.json")
	if err := os.WriteFile(python, []byte(`{"prometheus_port": 9100, "log_file": "systemd_monitor.log", "poll_interval": 100, "_log_file": 5}`), 0o644); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, "od\nd")
	for _, tt := range []struct {
		args  []string
		wants []string
	}{
		{[]string{"--feed", "/" + strings.Repeat("f", 107)}, []string{"f: feed has 108 bytes, and the path of a socket at most 107 (unix(7)); so nobody can listen"}},
		{[]string{"--config", python}, []string{
			python + ": not used, and may be removed: prometheus_port, poll_interval\n",
			"/var/log/service-monitor/systemd_monitor.log: log_file is relative, and starts at /var/log/service-monitor\n",
		}},
		{[]string{"-l", odd, "-p", filepath.Join(dir, "none/s")}, []string{
			"--persistence-file: ", " cannot use " + dir + "/none/s as state file: there is no directory " + dir + "/none; make it, or name a file elsewhere\n",
		}},
		{[]string{"-l", odd, "-p", filepath.Join(dir, "s")}, []string{`"` + dir + `/od\nd": not in a directory of the unit`, dir + "/s: not in a directory of the unit"}},
	} {
		var out bytes.Buffer
		run(append(tt.args, "--check"), &out, &out)
		for _, want := range tt.wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q: no %q in %s", tt.args, want, out.String())
			}
		}
	}
}
