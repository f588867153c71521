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

// names of contestants.
const (
	monitor = "monitor"
	floor   = "floor"
)

// A contestant is a program that tells of changes of state.
type contestant struct {
	name string
	// argv runs it, with its files in dir. It is ready when it says so by
	// sd_notify(3).
	argv   func(dir string) []string
	counts bool // into a state file
	polls  bool // and so sees only what is there when it looks
}

// onUnits is a contestant whose arguments are a file of units and a log file.
func onUnits(name string, polls bool) contestant {
	return contestant{name: name, polls: polls, argv: func(dir string) []string {
		return []string{binaries + "/" + name, dir + "/units", dir + "/" + logName}
	}}
}

var contestants = []contestant{
	{name: monitor, counts: true, argv: func(dir string) []string {
		return []string{binaries + "/service-monitor", "--config", dir + "/config.json"}
	}},
	onUnits(floor, false),
	onUnits("godbus", false),
	onUnits("subscribe-units", true),
}

// Files of a contestant, in its directory.
const (
	logName   = "log"
	stateName = "state.json"
)

// configure writes what a contestant reads, into its directory as we see it; the
// machine sees it as dir. The daemon is as it is shipped, but for a load that wants
// every line.
func configure(here, dir string, units []string, everyLine bool) error {
	settings := map[string]any{
		"monitored_services": units, "log_file": dir + "/" + logName, "persistence_file": dir + "/" + stateName,
	}
	if everyLine {
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
