//go:build booted

package fleet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"service-monitor/test/prometheus"
)

// settings are what a broker of a fleet needs besides its listener. service-monitor-mqtt(8), A FLEET, says why.
const settings = `allow_anonymous true
user root
persistence true
max_queued_messages 0
log_type error
log_type warning
`

// A mosquitto is Debian's broker.
type mosquitto struct {
	t       *testing.T
	address string
	config  string
	cmd     *exec.Cmd
}

func startBroker(t *testing.T) *mosquitto {
	t.Helper()
	dir := t.TempDir()
	m := &mosquitto{t: t, address: prometheus.FreePort(t), config: filepath.Join(dir, "mosquitto.conf")}
	_, port, _ := strings.Cut(m.address, ":")
	text := fmt.Sprintf("listener %s 127.0.0.1\npersistence_location %s/\n%s", port, dir, settings)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(func() { m.stop(syscall.SIGKILL) })
	return m
}

// start starts the broker, and returns when it listens. It may have more connections than a process usually may.
func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command("sh", "-c", `ulimit -n $(ulimit -Hn); exec mosquitto -c "$0"`, m.config)
	m.cmd.Stdout, m.cmd.Stderr = os.Stderr, os.Stderr
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", m.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("mosquitto does not listen: %v", err)
		}
	}
}

func (m *mosquitto) stop(signal os.Signal) {
	_ = m.cmd.Process.Signal(signal)
	_ = m.cmd.Wait()
}

// peak returns how many MB of memory the broker has had at most.
func (m *mosquitto) peak() float64 {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		m.t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "VmHWM:")
	kB, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		m.t.Fatal(err)
	}
	return float64(kB) / 1024
}

// A recorder is a consumer for which the broker keeps what is published while it is away.
type recorder struct {
	mu      sync.Mutex
	heard   map[string][]event // without repeats, by gateway
	seen    map[string]map[event]bool
	repeats int
	unique  int
	wrong   []string
	more    chan struct{} // gets a token when there is another one
}

// record starts a recorder. Nothing may be published before it has subscribed.
func (m *mosquitto) record() *recorder {
	m.t.Helper()
	_, port, _ := strings.Cut(m.address, ":")
	cmd := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-V", "5", "-c", "-x", "4294967295", "-i", "recorder", "-q", "1",
		"-F", "%t %p", "-t", "service-monitor/+/+/event", "-t", "service-monitor/+/event", "-t", "recorder")
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r := &recorder{heard: map[string][]event{}, seen: map[string]map[event]bool{}, more: make(chan struct{}, 1)}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for began := false; lines.Scan(); {
			topic, payload, _ := strings.Cut(lines.Text(), " ")
			switch {
			case topic != "recorder":
				r.take(strings.Split(topic, "/")[1], payload)
			case !began:
				began = true
				close(ready)
			}
		}
	}()
	for { // until it hears itself
		_ = exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "recorder", "-m", "ready").Run()
		select {
		case <-ready:
			return r
		default:
		}
	}
}

// take takes an event of a gateway.
func (r *recorder) take(gateway, payload string) {
	var e event
	err := json.Unmarshal([]byte(payload), &e)
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen[gateway]
	if seen == nil {
		seen = map[event]bool{}
		r.seen[gateway] = seen
	}
	switch {
	case err != nil || e.Seq == 0:
		r.wrong = append(r.wrong, payload)
	case seen[e]:
		r.repeats++
	default:
		seen[e] = true
		r.heard[gateway] = append(r.heard[gateway], e)
		r.unique++
	}
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// has returns how many events there are without repeats.
func (r *recorder) has() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unique
}
