// Package e2e runs the whole daemon as it ships. Most tests run it with recordings of real systemds.
// The tests with the tag booted run it with a booted systemd.
package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// limit is far more time than a daemon needs for anything that a test waits for, even on a busy
// machine.
const limit = 8 * time.Minute

// binary is the daemon, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "service-monitor-e2e-")
	if err != nil {
		panic(err)
	}
	os.Chmod(dir, 0o755) // an unprivileged user of a machine runs it
	binary = filepath.Join(dir, "service-monitor")
	if err := build(binary, "cmd/service-monitor", ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a program for the architecture of the machines.
func build(file, program, variables string) error {
	arch, err := gateway.Architecture(os.Getenv(gatewaytest.System))
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w "+variables, "-o", file, "service-monitor/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", program, err, out)
	}
	return nil
}

// unitState is a unit in the state file.
type unitState struct {
	LastState        string `json:"last_state"`
	LastChangeTime   string `json:"last_change_time"`
	Starts           int    `json:"starts"`
	Stops            int    `json:"stops"`
	Crashes          int    `json:"crashes"`
	Unknown          int    `json:"unknown"`
	Restarts         int    `json:"restarts"`
	LoggedUnloaded   bool   `json:"logged_unloaded"`
	FirstSeenRunning int    `json:"running_when_first_seen"`
	AtLeast          bool   `json:"at_least"`
	Folded           int    `json:"folded_units"`
	Seconds          struct {
		Up         float64   `json:"up"`
		Down       float64   `json:"down"`
		Stopped    float64   `json:"stopped"`
		Unobserved float64   `json:"unobserved"`
		Phase      string    `json:"phase"`
		Clock      int64     `json:"monotonic_usec"`
		Since      time.Time `json:"since"` // left out if the cursor has both clocks
	} `json:"seconds"`
	Untrusted bool `json:"last_change_untrusted"`
	Life      struct {
		Opened string            `json:"gap_open_since"`
		Gaps   []json.RawMessage `json:"gaps"`
	} `json:"life"`
	LastCrash struct {
		Result string `json:"result"`
		Code   int    `json:"code"`
		Status int    `json:"status"`

		Untrusted bool `json:"untrusted"`
	} `json:"last_crash"`
}

// parseState reads a state file. All counts must balance.
func parseState(t testing.TB, text []byte) map[string]unitState {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "--check-state", file).CombinedOutput(); err != nil {
		t.Errorf("--check-state: %v\n%s%s", err, out, text)
	}
	var state map[string]unitState
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatalf("state file: %v\n%s", err, text)
	}
	return state
}

// withoutChecksums removes the checksums from a state file, so that it may be edited.
func withoutChecksums(text string) string {
	return regexp.MustCompile(`\s*"checksum": "[^"]*",`).ReplaceAllString(text, "")
}

// ends returns how many runs have ended in any way.
func (s unitState) ends() int { return s.Stops + s.Crashes + s.Unknown }

// tally turns the state of a unit into a tally to compare with the truth. It takes the values from
// the truth that the daemon does not count. The daemon's restarts are those that systemd has
// scheduled.
func (s unitState) tally(truth gateway.Tally) gateway.Tally {
	truth.Starts, truth.Stops, truth.Crashes, truth.Scheduled = s.Starts, s.Stops, s.Crashes, s.Restarts
	truth.Running = s.Starts+s.FirstSeenRunning-s.ends() == 1
	truth.Last = gateway.Crash{}
	if s.Crashes > 0 {
		code := map[int]string{1: "exited", 2: "killed", 3: "dumped"}[s.LastCrash.Code]
		truth.Last = gateway.Crash{Result: s.LastCrash.Result, Code: code, Status: s.LastCrash.Status}
	}
	return truth
}

// A daemon is the running binary on this machine.
type daemon struct {
	t          *testing.T
	cmd        *exec.Cmd
	out        bytes.Buffer
	log, state string
	told       *net.UnixConn // receives its notifications for the service manager
}

// run starts the daemon with the files in dir.
func run(t *testing.T, dir, address string, services ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, log: filepath.Join(dir, "monitor.log"), state: filepath.Join(dir, "state.json")}
	args := append([]string{"-l", d.log, "-p", d.state, "--services"}, services...)
	d.cmd = exec.Command(binary, args...)
	notify := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	told, err := net.ListenUnixgram(notify.Net, notify)
	if err != nil {
		t.Fatal(err)
	}
	d.told = told
	d.cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address, "NOTIFY_SOCKET="+notify.Name)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cmd.Process.Kill(); told.Close() })
	return d
}

// ready waits for READY=1, and returns the status that comes with it.
func (d *daemon) ready() (status string) {
	d.t.Helper()
	d.told.SetReadDeadline(time.Now().Add(limit))
	for buf := make([]byte, 4096); ; {
		n, err := d.told.Read(buf)
		if err != nil {
			d.t.Fatalf("not ready: %v\n%s", err, d.out.String())
		}
		said := string(buf[:n])
		if _, text, ok := strings.Cut(said, "STATUS="); ok {
			status = text
		}
		if strings.Contains(said, "READY=1") {
			return status
		}
	}
}

// stop stops the daemon and returns its state file.
func (d *daemon) stop() map[string]unitState {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("the daemon ended with %v\n%s", err, d.out.String())
	}
	text, err := os.ReadFile(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	return parseState(d.t, text)
}
