//go:build lifecycle

// Package lifecycle tests the life of the package on booted Debian gateways: apt
// installs, upgrades, removes and purges it, by name, from a signed repository.
package lifecycle

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// These versions are installed. They differ only in the place of the program: in the older one it
// is in /usr/sbin.
const (
	older = "1.0.0~older"
	newer = "1.0.0~older+newer"
)

// system is the root of a complete Debian. Each machine gets a copy of it.
var system = flag.String("system", "", "the `root` of the Debian to test on, as debootstrap makes it")

// repositories are directories with a signed repository each: one with the older version, one with both
// versions, and one with the older version of the monitor alone.
var repositories struct{ alone, first, then string }

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "service-monitor-lifecycle-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare builds the packages and the repositories for the architecture of system.
func prepare(dir string) error {
	if err := gateway.Check(); err != nil {
		return err
	}
	if *system == "" {
		return fmt.Errorf("-args -system= must name the root of a Debian; `make lifecycle` makes them and does")
	}
	target, err := target(*system)
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // apt reads it as another user
		return err
	}
	build, then := filepath.Join(dir, "debs"), filepath.Join(dir, "then")
	repositories.first, repositories.then = filepath.Join(dir, "first"), then
	repositories.alone = filepath.Join(dir, "alone")
	monitor := filepath.Join(dir, "monitor")
	// It builds in a copy of the checkout, because the tests of other Debians may run at the same time.
	source := filepath.Join(dir, "source")
	return errors.Join(
		command("sh", "-euc", `mkdir "$0"; cd ../..; cp -R cmd pipeline stages debian systemd go.mod go.sum Makefile nfpm.yaml LICENSE "$0"`, source),
		command("make", "-C", source, "deb", "TARGETS="+target, "DEBS="+build, "VERSION="+older),
		command("sh", "-euc", intoSbin, "sh", build),
		command("../../debian/repository", build, then),
		command("cp", "-a", then, repositories.first),
		command("sh", "-euc", `mkdir "$2"; cp "$1"/service-monitor_*.deb "$2"; cp -a "$3.key" "$4.key"`, "sh", build, monitor, then, repositories.alone),
		command("../../debian/repository", monitor, repositories.alone),
		command("make", "-C", source, "repo", "TARGETS="+target, "DEBS="+build, "REPO="+then, "VERSION="+newer),
	)
}

// command runs a command without the environment variables of a make that runs this test.
func command(name string, arguments ...string) error {
	c := exec.Command(name, arguments...)
	c.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "MAKE") || strings.HasPrefix(pair, "MFLAGS=")
	})
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run %q: %w\n%s", c.Args, err, out)
	}
	return nil
}

// target returns the Makefile's name for the architecture of a root.
func target(root string) (string, error) {
	arch, err := gateway.Architecture(root)
	if err != nil {
		return "", fmt.Errorf("%s is no root of a Debian: %w", root, err)
	}
	if arch == "arm" {
		arch = "arm.7"
	}
	return arch, nil
}
