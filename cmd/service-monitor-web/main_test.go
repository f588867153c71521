package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program, so that a test can start it as systemd does.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// What is wrong on the command line is named, and what to do.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"history_size": "x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state.json")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--help", 0, "Usage: service-monitor-web"},
		{"help", 0, "/metrics"},
		{"metrics --help", 0, "--output FILE"},
		{"--version", 0, "service-monitor-web " + version},
		{"version", 0, "service-monitor-web " + version},
		{"serve", 64, `unknown command "serve"; service-monitor-web help lists the commands`},
		{"--port 80", 64, `unknown flag "--port"`},
		{"--listen", 64, "--listen needs a value"},
		{"--listen 8080", 64, `--listen must be followed by HOST:PORT, such as 127.0.0.1:12937, or by the path of a unix socket, found "8080"`},
		{"--listen 127.0.0.1:0", 64, "--listen must be followed by HOST:PORT"},
		{"--listen 127.0.0.1:99999", 64, "--listen must be followed by HOST:PORT"},
		{"--idle-exit soon", 64, `--idle-exit must be followed by a duration such as 2m, or 0 for never, found "soon"`},
		{"--idle-exit -2m", 64, "--idle-exit must be followed by a duration such as 2m"},
		{"--allow-host http://x", 64, `--allow-host must be followed by names of this machine without port, found "http://x"`},
		{"--output x", 64, `unknown flag "--output"`},
		{"metrics --listen 127.0.0.1:12937", 64, `unknown flag "--listen"`},
		{"metrics x", 64, `unexpected argument "x"`},
		{"-p --feed", 64, `--persistence-file must be followed by a file name, found "--feed"`},
		{"", 64, "there is no socket to serve at; write --listen 127.0.0.1:12937"},
		{"--config " + bad, 78, "history_size"},
		{"--config " + dir + "/none.json", 78, "does not exist"},
		{"--listen 192.0.2.1:9750 -p " + state, 69, "choose another address with --listen"},
		{"--listen " + bad, 69, bad + " is there, and is no socket"},
		{"metrics -p " + state, 66, "name its state file with --persistence-file"},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(tt.args), &out, &errs)
		if text := out.String() + errs.String(); code != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("%q: %d, want %d with %q: %s", tt.args, code, tt.code, tt.want, text)
		}
	}
}

// A manager starts the program with sockets, as systemd does.
type manager struct {
	t       *testing.T
	sockets []*os.File
	unix    string
	tcp     string
	notify  *net.UnixConn
	args    []string
}

func newManager(t *testing.T, flags ...string) *manager {
	dir := t.TempDir()
	m := &manager{t: t, unix: filepath.Join(dir, "web"), args: append([]string{"-p", dir + "/state.json", "--feed", dir + "/feed"}, flags...)}
	one, err := net.ListenUnix("unix", &net.UnixAddr{Name: m.unix, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.tcp = two.Addr().String()
	for _, l := range []interface{ File() (*os.File, error) }{one, two.(*net.TCPListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		m.sockets = append(m.sockets, f)
		t.Cleanup(func() { f.Close() })
	}
	if m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { one.Close(); two.Close(); m.notify.Close() })
	return m
}

// start starts the program. The end of its output is the end of it.
func (m *manager) start(ctx context.Context) (*exec.Cmd, *bytes.Buffer) {
	m.t.Helper()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", os.Args[0]}, m.args...)...)
	cmd.ExtraFiles = m.sockets
	cmd.Env = append(os.Environ(), "TEST_AS_PROGRAM=1", "LISTEN_FDS=2", "NOTIFY_SOCKET="+m.notify.LocalAddr().String(), "WATCHDOG_USEC=3000000", "GORACE=atexit_sleep_ms=0") // else each end takes a second with -race
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	return cmd, out
}

// client returns a client of the unix socket.
func (m *manager) client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", m.unix)
	}}}
}

func get(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return fmt.Sprint(r.StatusCode, " ", string(text)), err
}

// The program serves at a unix socket and at a TCP socket of systemd at once. It says when it is ready, and
// that it is alive. At SIGTERM it ends well.
func TestActivated(t *testing.T) {
	m := newManager(t)
	cmd, out := m.start(t.Context())
	for client, url := range map[*http.Client]string{m.client(): "http://any.name.at.all/-/healthy", http.DefaultClient: "http://" + m.tcp + "/-/healthy"} {
		if text, err := get(client, url); err != nil || text != "200 ok\n" {
			t.Errorf("%s: %s, %v", url, text, err)
		}
	}
	buf := make([]byte, 4096)
	for _, want := range []string{"READY=1", "WATCHDOG=1"} {
		for said := ""; !strings.Contains(said, want); {
			_ = m.notify.SetReadDeadline(time.Now().Add(time.Minute))
			n, err := m.notify.Read(buf)
			if err != nil {
				t.Fatalf("no %s: %v\n%s", want, err, out)
			}
			said = string(buf[:n])
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The program ends as soon as nobody asks, again and again, and systemd starts it again. Each request is
// answered, also one that comes while the program ends.
func TestNoneIsLost(t *testing.T) {
	m := newManager(t, "--idle-exit", "1ms")
	go func() { // else nobody takes the notifications, and the program waits for that
		for buf := make([]byte, 4096); ; {
			if _, err := m.notify.Read(buf); err != nil {
				return
			}
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var starts atomic.Int32
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			starts.Add(1)
			cmd, _ := m.start(ctx)
			_ = cmd.Wait() // it may be killed at the end of the test
		}
	}()
	c := m.client()
	for i := 0; i < 30 || starts.Load() < 3 && i < 100_000; i++ { // requests that come fast enough keep it running
		if text, err := get(c, "http://x/-/healthy"); err != nil || text != "200 ok\n" {
			t.Fatalf("request %d: %s, %v", i, text, err)
		}
	}
	stop()
	<-ended
	if n := starts.Load(); n < 3 {
		t.Errorf("the program was started %d times", n)
	}
}
