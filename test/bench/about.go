package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// about describes the machine and the software on which the figures were measured.
func about(ctx context.Context, daemon string) map[string]string {
	first := func(name string, args ...string) string {
		out, _ := exec.CommandContext(ctx, name, args...).Output()
		line, _, _ := strings.Cut(string(out), "\n")
		return line
	}
	return map[string]string{
		"daemon": first(daemon, "--version"), "systemd": first("systemctl", "--version"),
		"dbus": first("dbus-daemon", "--version"), "go": runtime.Version(), "processor": processor(),
		"processors": strconv.Itoa(runtime.NumCPU()), "kernel": kernel(),
	}
}

func kernel() string {
	var name unix.Utsname
	_ = unix.Uname(&name) // cannot fail
	return unix.ByteSliceToString(name.Release[:])
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// sizes reports the sizes of the contestants, and of the packages that are built.
func (b *bench) sizes(daemon string) {
	size := func(path, name, of string) {
		if info, err := os.Stat(path); err == nil {
			b.results.Add("size", "on this machine", name, of, float64(info.Size())/1e6)
		}
	}
	size(daemon, "binary MB", monitor)
	for _, c := range b.contestants {
		if c.program != monitor {
			size(filepath.Join(b.out, c.name), "binary MB", c.name)
		}
	}
	packages, _ := filepath.Glob("build/deb/*.deb")
	for _, path := range packages {
		size(path, filepath.Base(path)+" MB", monitor)
	}
}
