//go:build lifecycle

package lifecycle

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// These are where the page is. A path is also a network for request.
const (
	webSocket = "/run/service-monitor-web.sock"
	webPort   = "127.0.0.1:12937"
)

// A reply is what the page has answered.
type reply struct {
	code int
	body string
}

// request sends one request to the page, over its socket or over TCP.
func (m *machine) request(address, method, path string) (reply, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return m.dial(address) },
	}}
	ctx, cancel := context.WithTimeout(m.t.Context(), limit)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return reply{}, err
	}
	answer, err := client.Do(ask)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, string(body)}, err
}

// get wants the page to answer, and returns the body.
func (m *machine) get(address, path string) string {
	m.t.Helper()
	got, err := m.request(address, http.MethodGet, path)
	if err != nil || got.code != http.StatusOK {
		m.t.Fatalf("GET %s at %s: %d, %v\n%s", path, address, got.code, err, got.body)
	}
	return got.body
}

// wantPage wants the page and the metrics at an address.
func (m *machine) wantPage(address string) {
	m.t.Helper()
	for path, text := range map[string]string{
		"/":        "<!doctype html>",
		"/metrics": `service_monitor_unit_crashes_total{name="mosquitto.service"}`,
	} {
		// For a moment after the start of the monitor there are no counts.
		for body := ""; !strings.Contains(strings.ToLower(body), text); body = m.get(address, path) {
			if m.t.Context().Err() != nil {
				m.t.Fatalf("GET %s at %s: no %s in\n%.500s", path, address, text, body)
			}
		}
	}
}

// wantNobody wants nobody to listen at an address.
func (m *machine) wantNobody(address string) {
	m.t.Helper()
	conn, err := m.dial(address)
	if err == nil {
		conn.Close()
		m.t.Errorf("somebody listens at %s", address)
	}
}

// hold returns a copy of the socket with which PID 1 listens at a port.
func (m *machine) hold(address string) *os.File {
	m.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", m.Leader())
	table, err := os.ReadFile(proc + "net/tcp")
	if err != nil {
		m.t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	number, _ := strconv.Atoi(port)
	listens := regexp.MustCompile(fmt.Sprintf(`:%04X 00000000:0000 0A \S+ \S+ \S+ +\d+ +\d+ (\d+) `, number)).FindSubmatch(table)
	pid, err := unix.PidfdOpen(m.Leader(), 0)
	if err != nil || listens == nil {
		m.t.Fatalf("%v; PID 1 does not listen at %s:\n%s", err, address, table)
	}
	defer unix.Close(pid)
	all, _ := filepath.Glob(proc + "fd/*")
	for _, path := range all {
		if target, _ := os.Readlink(path); target != fmt.Sprintf("socket:[%s]", listens[1]) {
			continue
		}
		number, _ := strconv.Atoi(filepath.Base(path))
		fd, err := unix.PidfdGetfd(pid, number, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), address)
	}
	m.t.Fatalf("PID 1 has no socket for %s", address)
	return nil
}

// dial connects to a socket or a port of the machine. A socket is reached through its root directory,
// a port from its network.
func (m *machine) dial(address string) (net.Conn, error) {
	leader := fmt.Sprintf("/proc/%d", m.Leader())
	if strings.HasPrefix(address, "/") {
		return net.Dial("unix", leader+"/root"+address)
	}
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled)
	go func() {
		// The thread ends with this goroutine, because it is never unlocked. So nothing else
		// runs in that network.
		runtime.LockOSThread()
		network, err := os.Open(leader + "/ns/net")
		if err == nil {
			defer network.Close()
			err = unix.Setns(int(network.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- dialled{err: err}
			return
		}
		conn, err := net.Dial("tcp4", address)
		done <- dialled{conn, err}
	}()
	got := <-done
	return got.conn, got.err
}
