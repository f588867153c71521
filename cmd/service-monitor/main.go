// Command service-monitor watches systemd services, counts their starts, stops
// and crashes exactly, and says why each crash happened. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	sdjournal "github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/notify"
	"service-monitor/pipeline"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/journald/writer"
	"service-monitor/stages/logsink"
	"service-monitor/stages/logsink/logfile"
	"service-monitor/stages/statefile"
	"service-monitor/stages/zone"
)

// version is set at link time.
var version = "0.1.0-dev"

func main() {
	// Run Go code on one thread at a time. With more threads, two thirds of the CPU time in
	// a storm went into waking threads, and no more signals were handled: a stage has
	// nothing to do until the stage before it has done its part. Other threads still wait
	// for files.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	collectOften()
	limitMemory(0)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run does the work of main, and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	line, err := table().Parse(args)
	if err == nil {
		err = line.Command.Run(line, stdout)
	}
	if err != nil && !errors.Is(err, errAttention) {
		fmt.Fprintf(stderr, "service-monitor: %v\n", err)
	}
	return exitCode(err)
}

// asOwner calls work, which uses the files at paths. If this process is root, it first becomes
// the user to whom their directory belongs: see files.Become.
func asOwner(work func() error, paths ...string) error {
	owner, err := files.Become(paths...)
	if errors.Is(err, files.ErrOwner) { // work returns a better text for any other error
		return fmt.Errorf("cannot use the files: %w", err)
	}
	err = work()
	if owner.Name != "" && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; root does this with the rights of user %s, to whom %s belongs", err, owner.Name, owner.Where)
	}
	return err
}

// errFile marks errors of the log file and of the state file.
var errFile = errors.New("check the path and its permissions, and that the unit lets the monitor write there (ReadWritePaths=, see service-monitor(5)), or choose another with --log-file or --persistence-file")

// monitor has what graph needs to wire the pipeline.
type monitor struct {
	running config.Loaded    // the configuration of the start; a reload does not change it
	hangups <-chan os.Signal // each SIGHUP, for the reloader
	log     *logrus.Logger   // the daemon's own words
	notes   *logsink.Notes
	journal *writer.Journal
	console io.Writer   // nil if standard output goes to the journal
	lost    bool        // the counts of an earlier monitor are lost
	lock    *files.Lock // the lock of the log file
	written written
}

// newMonitor returns a monitor. It opens the journal's socket, but no files.
func newMonitor(running config.Loaded, stdout io.Writer) *monitor {
	m := &monitor{running: running, log: logrus.New()}
	m.journal, _ = writer.Open(writer.Socket) // nil on a machine without journald
	m.notes = logsink.NewNotes(m.journal)
	m.log.SetFormatter(logsink.Formatter{})
	m.log.AddHook(m.notes)
	m.log.SetOutput(io.Discard) // the hooks write instead, because writing here could block
	if inJournal, _ := sdjournal.StdoutIsJournalStream(); m.journal == nil || !inJournal {
		m.console = stdout
	}
	m.setDebug(running.Config.Debug)
	return m
}

func (m *monitor) setDebug(on bool) {
	level := logrus.InfoLevel
	if on {
		level = logrus.DebugLevel
	}
	m.log.SetLevel(level)
}

// run opens and locks the files, runs the pipeline until SIGTERM or SIGINT, and closes them.
func (m *monitor) run() error {
	stop, end := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer end()
	c := m.running.Config
	var o openFiles
	select {
	case err := <-pipeline.Aside(func() error { return o.open(c) }):
		if err != nil {
			return err
		}
	case <-stop.Done(): // do not wait for the disk, because nothing was received yet
		return nil
	}
	defer o.close()
	for _, note := range o.notes {
		m.log.Error(note)
	}
	zone.Report(func(fault error) { m.log.Warn(fault) })
	if unused := m.running.Unused; len(unused) > 0 {
		m.log.WithField("keys", strings.Join(unused, ", ")).Info("the configuration has keys that are not used, and may be removed")
	}
	m.log.WithFields(logrus.Fields{"version": version, "services": len(c.Services)}).Info("starting")
	limitMemory(uint64(max(len(c.Services), len(o.known))) * perService)
	m.lost, m.lock = o.state.Gone(), o.lock
	o.state.Meter(&m.written.state)
	err := m.graph(o.state, o.known, keepHouse(notify.New(m.log))).Run(stop)
	if err != nil {
		m.lastLine(err)
	}
	return err
}

// openFiles holds the open files of a monitor and their content.
type openFiles struct {
	lock  *files.Lock // the lock of the log file
	state *statefile.File
	known map[string]*count.Tally
	notes statefile.Notes // what people must know about the state file
}

func (o *openFiles) open(c config.Config) (err error) {
	if o.lock, err = holdLog(c.Log.File); err != nil {
		return err
	}
	if o.state, err = statefile.Open(c.State.File); err == nil {
		o.known, o.notes, err = o.state.Load()
	}
	if err == nil && c.History.Size == 0 {
		o.notes = append(o.notes, endHistory(c.State.File)...)
	}
	if err != nil {
		o.close()
		return fileError("use the state file", c.State.File, err)
	}
	return nil
}

func (o *openFiles) close() {
	if o.state != nil {
		o.state.Close()
	}
	o.lock.Close()
}

// lastLine writes to the log file why the monitor ends. It is called when the log sink has
// ended. Standard error gets the same text.
func (m *monitor) lastLine(err error) {
	line, _ := logsink.Formatter{}.Format(&logrus.Entry{Time: time.Now(), Level: logrus.ErrorLevel, Message: err.Error()})
	logfile.New(m.running.Config.Log.File, m.lock).Write(line)
}

func holdLog(path string) (*files.Lock, error) {
	lock, err := files.Hold(path)
	if err == nil {
		err = logfile.Prepare(path)
	}
	if err != nil {
		return nil, fileError("write the log file", path, err)
	}
	return lock, nil
}

func fileError(what, path string, err error) error {
	switch {
	case errors.Is(err, files.ErrHeld):
		return fmt.Errorf("cannot %s: %w; stop it first (systemctl stop service-monitor)", what, err)
	case errors.Is(err, statefile.ErrNewer):
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return fmt.Errorf("cannot %s %s: %w; %w", what, path, err, errFile)
}

// clearFiles removes the log file, the state file and the files beside them. What is no file was not made
// by a monitor, so it stays.
func clearFiles(c config.Config, stdout io.Writer) error {
	for _, path := range []string{c.Log.File, c.State.File} {
		if err := removable(path); err != nil {
			return fmt.Errorf("cannot clear: %w; %w", err, errFile)
		}
	}
	lock, err := files.Hold(c.Log.File)
	if err != nil {
		return fileError("clear the log file", c.Log.File, err)
	}
	defer lock.Close()
	state, err := statefile.Open(c.State.File)
	if err != nil {
		return fileError("clear the state file", c.State.File, err)
	}
	defer state.Close()
	dir := chronicle.Beside(c.State.File)
	history, err := store.Hold(dir) // a monitor with another state file beside this one uses it, too
	if err != nil {
		return fileError("clear the history", dir, err)
	}
	errs := []error{logfile.Remove(c.Log.File), state.Remove()}
	if history != nil {
		defer history.Close()
		errs = append(errs, blackbox.Remove(blackbox.Beside(dir)), store.Remove(dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot clear: %w; %w", err, errFile)
	}
	fmt.Fprintf(stdout, "removed %s with its backups, %s and the history beside it\n", c.Log.File, c.State.File)
	return nil
}

// removable returns an error if a path leads to anything but a regular file. The monitor follows links, so what
// they lead to is removed, and not the links.
func removable(path string) error {
	real, err := files.Follow(path)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(real); err == nil {
		return regular(real, info)
	}
	return nil // it is not there, or opening its lock will fail with a better error
}
