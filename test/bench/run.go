package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"service-monitor/test/bench/proc"
	"service-monitor/test/gateway"
)

// limits of what no healthy contestant takes that long for.
const (
	readyLimit = time.Minute
	drainLimit = 2 * time.Minute
)

// A site is a booted machine in which contestants run.
type site struct {
	*gateway.Machine
	root string // where we see its files
	runs atomic.Int64
}

// bootSite boots a machine with these units and the contestants.
func bootSite(ctx context.Context, binds, units map[string]string) (*site, error) {
	m, err := gateway.Boot(ctx, gateway.Options{Units: units, Binds: binds})
	if err != nil {
		return nil, err
	}
	return &site{Machine: m, root: fmt.Sprintf("/proc/%d/root", m.Leader())}, nil
}

// A run is a contestant that runs.
type run struct {
	*proc.Process
	of     contestant
	inside string        // its directory, as the machine sees it
	dir    string        // as we see it
	device string        // of a disk of its own, if it has one: see ownDisk
	ready  time.Duration // from its start
	began  cost          // up to then
}

// A cost is processor time: of a contestant itself, and of those children of it that
// have ended.
type cost struct{ own, children time.Duration }

func (a cost) minus(b cost) cost { return cost{a.own - b.own, a.children - b.children} }

func (a cost) all() time.Duration { return a.own + a.children }

// cost is what a contestant has cost so far.
func (r *run) cost() cost { return cost{r.CPU(), r.ChildCPU()} }

// end stops a contestant and returns its cost since it was ready. That includes its
// work at the stop: the daemon saves.
func (r *run) end() cost { return cost{r.Stop(), r.ChildCPU()}.minus(r.began) }

// launchOptions say how a contestant is started.
type launchOptions struct {
	again      *run   // with the files of a run before
	countSyncs bool   // with strace(1)
	trace      bool   // count what is written, too
	bus        string // its address; empty is the machine's own
	ownDisk    bool   // for its files
}

// launch starts a contestant with files of its own, and returns when it is ready.
func (s *site) launch(c contestant, units []string, o launchOptions) (*run, error) {
	r := &run{of: c}
	if o.again != nil {
		r.inside, r.dir, r.device = o.again.inside, o.again.dir, o.again.device
	} else if err := s.prepare(r, units, o.ownDisk); err != nil {
		return nil, err
	}
	_ = os.Remove(r.file("notify"))
	news, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: r.file("notify")})
	if err != nil {
		return nil, err
	}
	env := []string{"NOTIFY_SOCKET=" + r.inside + "/notify"}
	if c.name != unwatched {
		env = append(env, watchdog) // which the others do not serve
	}
	if o.bus != "" {
		env = append(env, "DBUS_SYSTEM_BUS_ADDRESS="+o.bus)
	}
	argv := c.argv(r.inside)
	traced := o.countSyncs || o.trace
	if traced {
		argv = append(tracing(r.inside+"/syncs", o.trace), argv...)
	}
	if r.Process, err = proc.Start(s.Leader(), argv, env, r.file("output")); err != nil {
		return nil, err
	}
	if err := r.awaitReady(news); err != nil {
		r.Stop()
		return nil, fmt.Errorf("%s: %w; it said: %s", c.name, err, r.output())
	}
	if traced {
		r.Pid = proc.Children(r.Pid)[0] // not strace itself
	}
	r.began = r.cost()
	return r, nil
}

// watchdog is the shipped unit's WatchdogSec=, as systemd passes it on.
const watchdog = "WATCHDOG_USEC=30000000"

// prepare makes the directory of a run.
func (s *site) prepare(r *run, units []string, ownDisk bool) error {
	r.inside = fmt.Sprintf("/var/bench/%d-%s", s.runs.Add(1), r.of.name)
	r.dir = filepath.Join(s.root, r.inside)
	if ownDisk {
		if err := s.ownDisk(r); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	return r.of.configure(r.dir, r.inside, units)
}

// output is what it wrote to its outputs.
func (r *run) output() string {
	text, _ := os.ReadFile(r.file("output"))
	return string(text)
}

func (r *run) awaitReady(news *net.UnixConn) error {
	go func() { // what is told later must not fill the socket
		<-r.Done()
		news.Close()
	}()
	if err := news.SetReadDeadline(time.Now().Add(readyLimit)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := news.Read(buf)
		if err != nil {
			return fmt.Errorf("not ready: %w", err)
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			r.ready = time.Since(r.Begun)
			break
		}
	}
	if err := news.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	go func() {
		for {
			if _, err := news.Read(buf); err != nil {
				return
			}
		}
	}()
	return nil
}

// file is one of the contestant's files.
func (r *run) file(name string) string { return filepath.Join(r.dir, name) }

// tail is the end of the log.
func (r *run) tail() string {
	const enough = 8 << 10
	f, err := os.Open(r.file(logName))
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > enough {
		_, _ = f.Seek(-enough, 2)
	}
	b := make([]byte, 2*enough)
	n, _ := f.Read(b)
	return string(b[:n])
}

// awaitStart returns when the log has told that a unit has started.
func (r *run) awaitStart(ctx context.Context, unit string) error {
	return r.awaitLine(ctx, func(line string) bool { return isActive(line, unit) })
}

// awaitRestart is the same for a unit that ran before: who did not ask may tell of
// that first, as if it was a change.
func (r *run) awaitRestart(ctx context.Context, unit string) error {
	return r.awaitLine(ctx, func(line string) bool { return isActive(line, unit) && !isFirst(line) })
}

var errUntold = errors.New("has not told what happened last")

// tolerate notes that a contestant that nothing is asked of has lost the last line, as
// one does that drops what it has no room for. The run goes on, without figures of that.
func (c contestant) tolerate(err error) error {
	if !errors.Is(err, errUntold) || c.hasRounds() {
		return err
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return nil
}

// awaitLine waits until the end of the log has a wanted line.
func (r *run) awaitLine(ctx context.Context, wanted func(string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	for !slices.ContainsFunc(strings.Split(r.tail(), "\n"), wanted) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %w: %w", r.of.name, errUntold, ctx.Err())
		case <-r.Done():
			return fmt.Errorf("%s has ended: %s", r.of.name, r.output())
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// isActive reports whether a line says that a unit is active now.
func isActive(line, unit string) bool {
	return strings.Contains(line, unit+":") && strings.Contains(line, "-> active ")
}

// isFirst reports whether a line tells a state before which none was known.
func isFirst(line string) bool { return strings.Contains(line, ": - ->") }

// log is the text of the log and of what was rotated away and kept, oldest first.
func (r *run) log() string {
	files, _ := filepath.Glob(r.file(logName + "*"))
	var all strings.Builder
	// Backups sort by their time, but for the file itself.
	for _, file := range append(files[1:len(files):len(files)], files[:1]...) {
		if strings.HasSuffix(file, ".lock") {
			continue
		}
		text, _ := os.ReadFile(file)
		all.Write(text)
	}
	return all.String()
}
