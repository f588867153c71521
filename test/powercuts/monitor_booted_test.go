//go:build booted

package powercuts

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"service-monitor/stages/chronicle/store"
)

const (
	// limit is far more time than a monitor needs for anything, even on a busy machine.
	limit   = 5 * time.Minute
	program = "/run/service-monitor"
	// These are names in a disk.
	stateFile = "/state/states.json"
	logFile   = "/log/monitor.log"
)

// build builds the monitor and the publisher.
func build(t *testing.T) {
	t.Helper()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Dir(program), "service-monitor/cmd/service-monitor", "service-monitor/cmd/service-monitor-mqtt")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the programs: %v\n%s", err, out)
	}
}

// A monitor is the program that ships, with its files on a disk.
type monitor struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  bytes.Buffer
	told *net.UnixConn // receives its notifications for the service manager
	feed string
	// These are for the publisher.
	config, boot string
}

// startMonitor starts the monitor. The state is saved when it is older than age. A publisher with its configuration
// publishes to the broker.
func startMonitor(t *testing.T, s *systemd, b *broker, disk string, age time.Duration) *monitor {
	t.Helper()
	dir := t.TempDir()
	m := &monitor{t: t, feed: filepath.Join(dir, "feed"), config: filepath.Join(dir, "config.json"), boot: s.boot}
	config, err := json.Marshal(map[string]any{
		"monitored_services": s.names, "persistence_file": disk + stateFile, "log_file": disk + logFile, "feed": m.feed,
		"history_size": store.Smallest, "save_quiet": age.Milliseconds(), "save_deadline": age.Milliseconds(), "fold_after": 0,
		"mqtt_broker": "unix://" + b.socket, "mqtt_gateway": "gw", "mqtt_rate": 10_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{stateFile, logFile} {
		if err := os.MkdirAll(filepath.Dir(disk+file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.config, config, 0o644); err != nil {
		t.Fatal(err)
	}
	notify := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	if m.told, err = net.ListenUnixgram(notify.Net, notify); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.told.Close() })
	m.cmd = exec.Command(program, "--config", m.config)
	m.cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+s.bus.Address, "NOTIFY_SOCKET="+notify.Name, "MONITOR_BOOT_ID="+m.boot)
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}

// ready waits until the monitor is ready, and reports whether it is.
func (m *monitor) ready() bool {
	m.t.Helper()
	m.told.SetReadDeadline(time.Now().Add(limit))
	for buf := make([]byte, 4096); ; {
		n, err := m.told.Read(buf)
		if err != nil {
			m.kill()
			m.t.Errorf("the monitor is not ready: %v\n%s", err, m.out.String())
			return false
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return true
		}
	}
}

// listen listens to the feed until the monitor ends, and reports whether there is one. last becomes the
// last record that the feed has told.
func (m *monitor) listen(last *atomic.Uint64) bool {
	conn, err := net.Dial("unix", m.feed)
	if err != nil {
		m.t.Errorf("there is no feed: %v", err)
		return false
	}
	go func() {
		defer conn.Close()
		for in := json.NewDecoder(conn); ; {
			var message struct{ Event struct{ Seq uint64 } }
			if in.Decode(&message) != nil {
				return
			}
			if message.Event.Seq > 0 {
				last.Store(message.Event.Seq)
			}
		}
	}()
	return true
}

// stop stops the monitor well.
func (m *monitor) stop() {
	m.t.Helper()
	m.cmd.Process.Signal(syscall.SIGTERM)
	if err := m.cmd.Wait(); err != nil {
		m.t.Errorf("the monitor ended with %v\n%s", err, m.out.String())
	}
}

// kill takes the power from the monitor, too.
func (m *monitor) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}
