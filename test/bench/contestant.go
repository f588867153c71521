package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaries is where a machine has the contestants.
const binaries = "/opt/bench"

// Names of programs, and of contestants. The daemon is several of these.
const (
	monitor   = "monitor"            // as it is shipped
	everyLine = "monitor-every-line" // with no line folded
	unwatched = "monitor-unwatched"  // with no watchdog to serve
	floor     = "floor"
)

// A contestant is a program that logs changes of state.
type contestant struct {
	name, program string
	// argv runs it, with its files in dir. It is ready when it says so by
	// sd_notify(3).
	argv   func(dir string) []string
	counts bool // into a state file
	loads  []string
}

// hasRounds reports whether a contestant is in every round: targets are of these.
// The others run beside them, and less often.
func (c contestant) hasRounds() bool { return c.program == monitor || c.program == floor }

func daemon(name string, loads ...string) contestant {
	return contestant{name: name, program: monitor, counts: true, loads: loads, argv: func(dir string) []string {
		return []string{binaries + "/service-monitor", "--config", dir + "/config.json"}
	}}
}

// onUnits is a contestant whose arguments are a file of units and a log file.
func onUnits(name string, loads ...string) contestant {
	return contestant{name: name, program: name, loads: loads, argv: func(dir string) []string {
		return []string{binaries + "/" + name, dir + "/units", dir + "/" + logName}
	}}
}

// Where lines are timed, each is wanted. And where units are few, more of their
// lines would be folded than where they are many: growth would not be told from that.
var contestants = []contestant{
	daemon(monitor, loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadCrowd),
	daemon(everyLine, loadStorm, loadLatency, loadUnits, loadRates),
	daemon(unwatched, loadIdle),
	onUnits(floor, loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadLatency, loadUnits, loadRates),
	onUnits("godbus", loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadLatency, loadUnits, loadRates),
	// It polls, and so sees one state a second.
	onUnits("subscribe-units", loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay),
}

// Files of a contestant, in its directory.
const (
	logName   = "log"
	stateName = "state.json"
)

// configure writes what a contestant reads, into its directory as we see it; the
// machine sees it as dir.
func (c contestant) configure(here, dir string, units []string) error {
	settings := map[string]any{
		"monitored_services": units, "log_file": dir + "/" + logName, "persistence_file": dir + "/" + stateName,
	}
	if c.name == everyLine {
		settings["fold_after"] = 0
	}
	config, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(here, "config.json"), config, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(here, "units"), []byte(strings.Join(units, "\n")+"\n"), 0o644)
}

// build builds the contestants but the daemon, and returns what a machine is to
// have in binaries.
func build(daemon, into string) (map[string]string, error) {
	daemon, err := filepath.Abs(daemon)
	if err != nil {
		return nil, err
	}
	into, err = filepath.Abs(into)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return nil, err
	}
	binds := map[string]string{binaries + "/service-monitor": daemon}
	for _, b := range []struct {
		name string
		argv []string
	}{
		{floor, []string{"gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "", "test/bench/floor/floor.c", "-lsystemd"}},
		{"godbus", goBuild("./test/bench/viagodbus")},
		{"subscribe-units", goBuild("./test/bench/viapolls")},
	} {
		path := filepath.Join(into, b.name)
		for i := range b.argv {
			if b.argv[i] == "" {
				b.argv[i] = path
			}
		}
		if out, err := exec.Command(b.argv[0], b.argv[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("cannot build %s (floor needs gcc and libsystemd-dev): %w: %s", b.name, err, out)
		}
		binds[binaries+"/"+b.name] = path
	}
	return binds, nil
}

// goBuild builds as make build does; the empty argument is for the output.
func goBuild(pkg string) []string {
	return []string{"env", "CGO_ENABLED=0", "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", "", pkg}
}
