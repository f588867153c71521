package servers

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A Mosquitto is a broker. It ends with the test.
type Mosquitto struct {
	t      *testing.T
	config string
	*process
}

// StartMosquitto starts a broker with a configuration. Its user and its log are given.
func StartMosquitto(t *testing.T, config string) *Mosquitto {
	t.Helper()
	m := &Mosquitto{t: t, config: filepath.Join(t.TempDir(), "mosquitto.conf")}
	text := "user root\nlog_dest stderr\nlog_type error\nlog_type warning\nlog_type information\n" + config
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Start()
	t.Cleanup(func() { m.Stop(syscall.SIGKILL) })
	return m
}

// Start starts the broker again, and returns when it runs. Each client is an open file, so it may have as many as
// possible.
func (m *Mosquitto) Start() {
	m.t.Helper()
	m.process = start(m.t, " running", "sh", "-c", `ulimit -n $(ulimit -Hn); exec mosquitto -c "$0"`, m.config)
}

// Stop stops the broker with a signal, and waits for its end.
func (m *Mosquitto) Stop(signal os.Signal) { m.stop(signal) }

// PID returns the process ID.
func (m *Mosquitto) PID() int { return m.Process.Pid }
