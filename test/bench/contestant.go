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

// Names of programs and of contestants. Several contestants are the daemon.
const (
	monitor   = "monitor"            // as it is shipped
	everyLine = "monitor-every-line" // with no line folded
	unwatched = "monitor-unwatched"  // with no watchdog to serve
	unheard   = "monitor-unheard"    // with no socket for the feed
	floor     = "floor"
)

// A contestant is a program that logs changes of state.
type contestant struct {
	name, program string
	// argv returns the command that runs it with its files in dir. It says by sd_notify(3) when it
	// is ready.
	argv   func(dir string) []string
	counts bool // it keeps counts, in a state file
	loads  []string
}

// hasRounds reports whether a contestant is in every round. Only these have targets. The
// others run less often.
func (c contestant) hasRounds() bool { return c.program == monitor || c.program == floor }

func daemon(name string, loads ...string) contestant {
	return contestant{name: name, program: monitor, counts: true, loads: loads, argv: func(dir string) []string {
		return []string{binaries + "/service-monitor", "--config", dir + "/config.json"}
	}}
}

// onUnits returns a contestant whose arguments are a file of units and a log file.
func onUnits(name string, loads ...string) contestant {
	return contestant{name: name, program: name, loads: loads, argv: func(dir string) []string {
		return []string{binaries + "/" + name, dir + "/units", dir + "/" + logName}
	}}
}

// The daemon folds no line in the loads that time lines, because each line is needed there.
// It folds none in the loads of growth either: more lines of few units would be folded than of
// many, and that would look like growth.
var contestants = []contestant{
	daemon(monitor, loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadCrowd),
	daemon(everyLine, loadStorm, loadLatency, loadUnits, loadRates),
	daemon(unwatched, loadIdle),
	daemon(unheard, loadIdle),
	onUnits(floor, loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadLatency, loadUnits, loadRates),
	onUnits("godbus", loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadLatency, loadUnits, loadRates),
	// It polls once a second, so it misses most changes of a fast load.
	onUnits("subscribe-units", loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay),
}

// Files of a contestant, in its directory.
const (
	logName   = "log"
	stateName = "state.json"
	feedName  = "feed"
)

// configure writes the files that a contestant reads. Its directory is here on the host, and
// dir in the machine.
func (c contestant) configure(here, dir string, units []string) error {
	settings := map[string]any{
		"monitored_services": units, "log_file": dir + "/" + logName, "persistence_file": dir + "/" + stateName, "feed": dir + "/" + feedName,
	}
	if c.name == everyLine {
		settings["fold_after"] = 0
	}
	if c.name == unheard {
		settings["feed"] = dir + "/none/" + feedName
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

// build builds all contestants except the daemon. It returns what a machine is to have in
// binaries.
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

// goBuild returns the command with which make build builds. Its empty argument is for the output.
func goBuild(pkg string) []string {
	return []string{"env", "CGO_ENABLED=0", "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", "", pkg}
}
