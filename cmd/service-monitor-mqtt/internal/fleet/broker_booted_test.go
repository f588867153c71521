//go:build booted

package fleet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"service-monitor/test/servers"
)

// A fleetBroker is the broker of a fleet.
type fleetBroker struct {
	*servers.Mosquitto
	t    *testing.T
	port string
}

// startBroker starts a broker with the settings that service-monitor-mqtt(8) has for a fleet.
func startBroker(t *testing.T) *fleetBroker {
	t.Helper()
	port := servers.FreePort(t)
	return &fleetBroker{servers.StartMosquitto(t, fmt.Sprintf(
		"listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\npersistence true\npersistence_location %s/\n", port, t.TempDir())), t, port}
}

// peak returns how many MB of memory the broker has had at most.
func (m *fleetBroker) peak() float64 {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
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
func (m *fleetBroker) record() *recorder {
	m.t.Helper()
	cmd := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", m.port, "-V", "5", "-c", "-x", "4294967295", "-i", "recorder", "-q", "1",
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
		_ = exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", m.port, "-t", "recorder", "-m", "ready").Run()
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
