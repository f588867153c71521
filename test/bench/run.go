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

// These limits are longer than any healthy contestant takes.
const (
	readyLimit = time.Minute
	drainLimit = 2 * time.Minute
)

// A site is a booted machine in which contestants run.
type site struct {
	*gateway.Machine
	root string // the host's path of its files
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
	inside string        // its directory in the machine
	dir    string        // the same directory on the host
	device string        // the device of its own disk, if it has one: see ownDisk
	ready  time.Duration // how long after its start it was ready
	began  cost          // its cost until it was ready
}

// A cost is the processor time of a contestant, and of those of its children that have ended.
type cost struct{ own, children time.Duration }

func (a cost) minus(b cost) cost { return cost{a.own - b.own, a.children - b.children} }

func (a cost) all() time.Duration { return a.own + a.children }

// cost returns the cost of a contestant so far.
func (r *run) cost() cost { return cost{r.CPU(), r.ChildCPU()} }

// end stops a contestant and returns its cost since it was ready. That includes what it does at the
// stop, such as the daemon's save.
func (r *run) end() cost { return cost{r.Stop(), r.ChildCPU()}.minus(r.began) }

// launchOptions say how a contestant is started.
type launchOptions struct {
	again      *run   // a run whose files it uses
	countSyncs bool   // count calls of fsync(2) with strace(1)
	trace      bool   // count calls that write, too
	bus        string // address of the bus; empty for that of the machine
	ownDisk    bool   // give its files a disk of their own
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
		env = append(env, watchdog) // the others do not serve a watchdog
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
		r.Pid = proc.Children(r.Pid)[0] // the contestant, and not strace
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

// output returns what the contestant wrote to its outputs.
func (r *run) output() string {
	text, _ := os.ReadFile(r.file("output"))
	return string(text)
}

func (r *run) awaitReady(news *net.UnixConn) error {
	go func() { // later messages must not fill the socket
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

// file returns the path of one of the contestant's files.
func (r *run) file(name string) string { return filepath.Join(r.dir, name) }

// tail returns the end of the log.
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

// awaitStart returns when the log says that a unit has started.
func (r *run) awaitStart(ctx context.Context, unit string) error {
	return r.awaitLine(ctx, func(line string) bool { return isActive(line, unit) })
}

// awaitRestart is the same for a unit that ran before. A contestant that did not ask for its state may
// first log that it runs, as if that was a change.
func (r *run) awaitRestart(ctx context.Context, unit string) error {
	return r.awaitLine(ctx, func(line string) bool { return isActive(line, unit) && !isFirst(line) })
}

var errUntold = errors.New("has not told what happened last")

// tolerate notes that a contestant without targets has lost the last line. One that drops what it has
// no room for does so. The run goes on without that figure.
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

// isFirst reports whether a line has the first state that was known of a unit.
func isFirst(line string) bool { return strings.Contains(line, ": - ->") }

// log returns the text of all log files, the oldest first.
func (r *run) log() string {
	files, _ := filepath.Glob(r.file(logName + "*"))
	var all strings.Builder
	// The names sort by time, except that of the current file, which comes first.
	for _, file := range append(files[1:len(files):len(files)], files[:1]...) {
		if strings.HasSuffix(file, ".lock") {
			continue
		}
		text, _ := os.ReadFile(file)
		all.Write(text)
	}
	return all.String()
}
