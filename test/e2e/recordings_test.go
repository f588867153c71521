package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"service-monitor/stages/bus"
	"service-monitor/test/cases"
	"service-monitor/test/fakebus"
	"service-monitor/test/gateway"
	"service-monitor/test/recording"
)

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
