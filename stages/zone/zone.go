// Package zone knows the local time zone as it is now. It is no stage: every stage
// that shows a time to people asks it.
//
// Go reads the zone once, when a process first needs it, and takes a TZ that it does not
// understand for UTC without a word. date(1) reads the zone each time. For the
// log to agree with date(1), this package asks stat(2) whether the file of the zone is
// still the one that it has loaded, and loads it again if not. It asks only when
// somebody wants to show a time, so an idle monitor does not wake up for it.
package zone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	localtime = "/etc/localtime"      // localtime(5)
	zoneinfo  = "/usr/share/zoneinfo" // where TZ names a file, unless TZDIR= says otherwise
	// maxFile is far more than any zone needs: those of tzdata have 4 kB at most.
	maxFile = 1 << 20
	// valid is how long an answer holds. A save of 10,000 units asks 10,000 times in a
	// row. Nobody changes the zone and crashes a service within a millisecond.
	valid = time.Millisecond
)

// here is the zone of this process.
var here = newZone(os.LookupEnv)

// Location returns the local time zone as it is now.
func Location() *time.Location { return here.Location() }

// Local returns a time as date(1) would show it now.
func Local(t time.Time) time.Time { return t.In(Location()) }

// Since returns a text for STATUS= such as "since 15:04:05". t is a time that this process
// has read from the clock. If the wall clock was set after that, the text has the time by
// the clock as it is now.
func Since(t time.Time) string {
	now := time.Now()
	return "since " + Local(now.Add(t.Sub(now))).Format("15:04:05")
}

// Report calls warn when the zone cannot be used, with the reason. Times are in UTC then.
// It calls warn once for each fault: now, or later from a goroutine that asks for the zone.
func Report(warn func(fault error)) { here.report(warn) }

// A Zone is a time zone that may change while the process runs.
type Zone struct {
	tz   string // the value of TZ; empty if it is not set
	path string // the file of the zone
	// rule is used if there is no such file. It is nil unless TZ is a rule or means UTC.
	rule *time.Location

	mu       sync.Mutex
	warn     func(error)
	looked   time.Time // when stat(2) was called last
	loaded   identity  // the file that was loaded; zero if there was none
	location *time.Location
	fault    error // why the zone cannot be used; nil if it can
	warned   bool  // warn was called for the fault
}

// newZone takes the zone from the environment as tzset(3) does. TZ= may name a file, with or
// without a colon before it. If there is no such file, TZ= is a rule.
func newZone(env func(key string) (value string, set bool)) *Zone {
	tz, set := env("TZ")
	if !set {
		return &Zone{path: localtime}
	}
	name := strings.TrimPrefix(tz, ":")
	z := &Zone{tz: tz, path: name, rule: rule(name)}
	switch {
	case name == "" || isUTC(name):
		z.rule = time.UTC // even without a file
	case name == localtime:
		z.tz = ""
	}
	if name != "" && !filepath.IsAbs(name) {
		dir, set := env("TZDIR")
		if !set || dir == "" {
			dir = zoneinfo
		}
		z.path = filepath.Join(dir, name)
	}
	return z
}

// Location returns the zone as it is now.
func (z *Zone) Location() *time.Location {
	z.mu.Lock()
	z.look(time.Now())
	location, warn, fault := z.location, z.warn, error(nil)
	if !z.warned && warn != nil {
		z.warned, fault = true, z.fault
	}
	z.mu.Unlock()
	if fault != nil {
		warn(fault) // without the lock, because writing the warning needs the zone, too
	}
	return location
}

func (z *Zone) report(warn func(error)) {
	z.mu.Lock()
	z.warn = warn
	z.mu.Unlock()
	z.Location()
}

// look loads the zone if its file is not the one that was loaded.
func (z *Zone) look(now time.Time) {
	if age := now.Sub(z.looked); z.location != nil && 0 <= age && age < valid {
		return
	}
	z.looked = now
	file := identify(z.path)
	if z.location != nil && file == z.loaded {
		return
	}
	z.loaded = file
	location, fault := z.load()
	if fault == nil || z.fault == nil || fault.Error() != z.fault.Error() {
		z.warned = fault == nil
	}
	z.location, z.fault = location, fault
}

// load returns the zone. If that cannot be used, it returns UTC and the reason.
func (z *Zone) load() (*time.Location, error) {
	location, err := read(z.path)
	switch {
	case err == nil:
		return location, nil
	case z.rule != nil:
		return z.rule, nil
	case z.tz != "":
		return time.UTC, fmt.Errorf("cannot use TZ=%q: %w, and it is no rule such as CET-1CEST,M3.5.0,M10.5.0/3 (tzset(3)); times are in UTC. "+
			"Correct Environment=TZ= of the unit or DefaultEnvironment= of systemd, and restart the monitor", z.tz, err)
	}
	leads, _ := os.Readlink(z.path)
	if errors.Is(err, fs.ErrNotExist) && (leads == "" || isUTC(leads)) {
		return time.UTC, nil // localtime(5): no file means UTC
	}
	if leads != "" {
		err = fmt.Errorf("%w (%s is a link to %s)", err, z.path, leads)
	}
	return time.UTC, fmt.Errorf("cannot use the time zone of this machine: %w; times are in UTC. "+
		"Install tzdata if it is missing, and set the zone (timedatectl set-timezone)", err)
}

// isUTC reports whether a file of tzdata means UTC. Then the file is not needed. A small
// Debian does not have it.
func isUTC(name string) bool {
	switch filepath.Base(name) {
	case "UTC", "UCT", "GMT", "Zulu", "Universal":
		return true
	}
	return false
}

// read reads a file of tzfile(5).
func read(path string) (*time.Location, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // reading a FIFO would block
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is too long for a time zone", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	location, err := time.LoadLocationFromTZData("Local", data)
	if err != nil {
		return nil, fmt.Errorf("%s is not a time zone file (tzfile(5)): %w", path, err)
	}
	return location, nil
}

// An identity changes if a file is replaced or written. A link such as /etc/localtime has
// the identity of its target.
type identity struct {
	dev, ino         uint64
	size             int64
	written, changed unix.Timespec
}

func identify(path string) identity {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return identity{}
	}
	return identity{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}
