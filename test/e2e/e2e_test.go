// Package e2e runs the whole daemon as it ships. Most tests run it with recordings of real systemds.
// The tests with the tag booted run it with a booted systemd.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"service-monitor/stages/bus"
	"service-monitor/test/cases"
	"service-monitor/test/fakebus"
	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
	"service-monitor/test/recording"
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

// TestRecordings plays recordings of real systemds to the whole daemon. The counts must be those of
// the journal of the recorded machine.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*", "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	orphans := map[string]bool{}
	for _, file := range files {
		orphans[file] = true
	}
	for i, version := range versions {
		for j, c := range cases.Known(cases.All(), version) {
			file := recordingOf(version, c)
			delete(orphans, file)
			if testing.Short() && j%len(versions) != i {
				continue // an emulator takes long, and its CPU is the same for all versions of systemd
			}
			t.Run(strings.TrimPrefix(file, recordings+"/"), func(t *testing.T) {
				t.Parallel()
				playCase(t, c, file)
			})
		}
	}
	for file := range orphans {
		t.Errorf("%s is of no case", file)
	}
}

const recordings = "testdata/recordings"

// versions are the versions of systemd with recordings: see `make record`.
var versions = []int{247, 252, 257}

// recordingOf returns the name of the file with a case's recording.
func recordingOf(version int, c cases.Case) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", r) {
			return r
		}
		return '-'
	}, strings.ToLower(c.Name))
	return filepath.Join(recordings, strconv.Itoa(version), name+".gz")
}

func playCase(t *testing.T, c cases.Case, file string) {
	r, err := recording.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	units := slices.Sorted(maps.Keys(c.Want))
	b := fakebus.Start(t)
	for _, s := range r.Signals {
		if s.Kind == bus.Snapshot {
			b.Snapshot(s.Unit, s.Body)
		}
	}
	d := run(t, t.TempDir(), b.Address, units...)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	context.AfterFunc(ctx, func() { d.cmd.Process.Kill(); b.Drop() })
	d.ready()
	for _, s := range r.Signals {
		if s.Kind == bus.Changed {
			if err := b.Play(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	// After a daemon-reload the daemon asks for the units when it has read all earlier
	// signals. By then the first snapshots are no longer the states of the units.
	b.Reply("GetAll", fakebus.Reply{Error: "org.freedesktop.DBus.Error.NoReply"})
	b.Forget()
	if err := b.DaemonReload(); err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		b.Await("GetAll " + fakebus.Path(unit))
	}
	state := d.stop()
	compare(t, c, r.Truth, state)
	wantHealth(t, c, r.Truth, d.state)
	text, _ := os.ReadFile(d.log)
	wantGivenUp(t, c, r.Truth, string(text))
	for unit := range c.Want {
		if n := crashLines(t, string(text), unit); n != state[unit].Crashes {
			t.Errorf("%s: %d CRASH lines, want one for each of %d", unit, n, state[unit].Crashes)
		}
	}
}

// compare wants the state file to have the counts of the case and those of the machine's journal.
func compare(t *testing.T, c cases.Case, truth map[string]gateway.Tally, state map[string]unitState) {
	t.Helper()
	for unit, want := range c.Want {
		got := state[unit].tally(truth[unit])
		if !cases.Match(got, truth[unit]) || got.Scheduled != truth[unit].Scheduled {
			t.Errorf("%s: %s (-journal +counted)\n- %+v\n+ %+v", c.Name, unit, truth[unit], got)
		}
		if !cases.MatchExactly(want, got) {
			t.Errorf("%s: %s (-want +counted)\n- %+v\n+ %+v", c.Name, unit, want, got)
		}
	}
}

// wantGivenUp wants the log to say for each unit of a case how often and why systemd has given it up,
// as the journal does. If the start limit refuses a start by hand, systemd sends no signal.
func wantGivenUp(t *testing.T, c cases.Case, truth map[string]gateway.Tally, log string) {
	t.Helper()
	for unit := range c.Want {
		refused := truth[unit].Refused
		if truth[unit].Scheduled == 0 {
			refused = 0
		}
		if n := strings.Count(log, unit+":  start limit hit: "); n != refused {
			t.Errorf("%s: %s: the log has %d start limits, want %d", c.Name, unit, n, refused)
		}
		if n := strings.Count(log, unit+":  systemd could not restart it, "); n != truth[unit].Failed {
			t.Errorf("%s: %s: the log has %d restarts that failed, want %d", c.Name, unit, n, truth[unit].Failed)
		}
	}
}

// wantHealth wants status to know which units have done what they are for, and which ones systemd has
// given up.
func wantHealth(t *testing.T, c cases.Case, truth map[string]gateway.Tally, stateFile string) {
	t.Helper()
	done := []string{"case-oneshot.service", "case-remains.service", "case-loop-oneshot.service", "case-direct-oneshot.service"}
	ask := exec.Command(binary, "status", "--json", "-p", stateFile)
	ask.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent/bus")
	out, _ := ask.Output() // its exit code says that some are not well
	var status struct {
		Units []struct{ Unit, Health string }
	}
	if err := json.Unmarshal(out, &status); err != nil || len(status.Units) != len(c.Want) {
		t.Fatalf("%v: %s", err, out)
	}
	for _, u := range status.Units {
		is := truth[u.Unit]
		gaveUp := !is.Running && (is.Refused > 0 && is.Scheduled > 0 || is.Failed > 0)
		if gaveUp != (u.Health == "gave-up") || slices.Contains(done, u.Unit) != (u.Health == "exited-ok") {
			t.Errorf("%s is %s", u.Unit, u.Health)
		}
	}
}

// crashLines returns how many crashes of a unit are in a log, folded or not.
func crashLines(t *testing.T, log, unit string) (n int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !strings.Contains(line, unit+": **CRASH** (") {
			continue
		}
		n++
		if _, repeated, ok := strings.Cut(line, "(repeated "); ok {
			var times int
			if _, err := fmt.Sscanf(repeated, "%d times in ", &times); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			n += times - 1
		}
	}
	return n
}
