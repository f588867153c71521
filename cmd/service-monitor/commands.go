package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/stages/files"
)

// startFlags are the flags of a start. A check of a start takes the same ones.
var startFlags = []string{cli.LogFile, cli.StateFile, cli.ConfigFile, cli.Services, cli.Feed, cli.Debug}

// table returns all commands of the program.
func table() *cli.Program {
	start := cli.Command{Flags: startFlags, Run: startMonitor}
	return &cli.Program{DefaultFile: config.DefaultFile, Exits: exits, Commands: slices.Concat([]cli.Command{start}, asking(), keeping())}
}

// asking returns the commands that only read.
func asking() []cli.Command {
	return []cli.Command{
		{Name: "status", Takes: cli.ShortUnits, Flags: []string{cli.JSON, cli.Watch, cli.Wide, cli.NoPager, cli.Feed, cli.StateFile, cli.ConfigFile}, Run: showStatus,
			Help: "show how the services are",
			About: `Shows how the services are that are named, by names or globs, or else all: first
those that need attention, why, and what systemd does next. It asks the running
monitor, and systemd. If the monitor does not answer, it reads what was saved,
and "as of" says when. With --watch it goes on, and shows each change. It ends
with 0 if all is well, with 3 if something needs attention, and with 4 if no
service of that name is monitored. Members of the group service-monitor may ask.
`},
		{Name: "why", Takes: cli.ShortUnit, Flags: []string{cli.Crash, cli.Full, cli.JSON, cli.Feed, cli.StateFile, cli.ConfigFile}, Run: showWhy,
			Help: "show why a service crashed",
			About: `Shows why a service crashed the last time, or the time that --crash says: the
cause in words, by what it was counted, how often, what systemd does next, what
else happened then, the last words of the run, and commands that tell more. As
status, it asks the running monitor, or else reads what was saved. Members of
the group service-monitor may ask.
`},
		{Name: "history", Takes: cli.ShortUnits, Flags: []string{cli.Since, cli.Until, cli.Crashes, cli.Lines, cli.All, cli.JSON, cli.Follow, cli.NoPager, cli.Feed, cli.StateFile, cli.ConfigFile}, Run: showHistory,
			Help: "show what happened to the services",
			About: `Shows what happened to the services that are named, by names or globs, or else
to all. Crashes that repeat are one line. It reads files only, so the monitor
need not run. The last seconds may not be there yet. With --follow it goes on,
and shows each event, also after the monitor was restarted. Members of the group
service-monitor may ask.
`},
		{Name: "report", Flags: []string{cli.Output, cli.NoLines, cli.StateFile, cli.ConfigFile}, Run: makeReport,
			Help: "write an archive for whoever is to find a fault",
			About: `Writes an archive with the configuration, counts, history and log of the
monitor, versions, properties of the services, and the last lines of those that
need attention, and prints what is in it.
`},
	}
}

// keeping returns the commands for those who look after the monitor.
func keeping() []cli.Command {
	return []cli.Command{
		{Name: "check-config", Old: "check", Flags: append(slices.Clone(startFlags), cli.Reload), Run: checkConfig,
			Help: "check flags, configuration and rights to the files",
			About: `Checks the flags, the configuration file, and that the monitor may write the
log and the state file. It ends with the exit code that a start would end with,
and writes nothing. A monitor may be running. With --reload, it ends with the
exit code of a reload, and only prints what is wrong with these files.
`},
		{Name: "check-state", Takes: cli.File, Old: "check-state", Flags: []string{cli.StateFile, cli.ConfigFile}, Run: checkStateFile,
			Help: "check that the counts in a state file balance",
			About: `Checks that the counts in a state file balance and fit together, and prints what
does not. Without FILE, it is the state file of the configuration. The file is
only read. A monitor may be using it.
`},
		{Name: "clear", Old: "clear", Letter: "c", Flags: []string{cli.LogFile, cli.StateFile, cli.ConfigFile}, Run: clearAll,
			Help: "remove log, state file and history",
			About: `Removes the log with its backups, the state file with its older generations, the
history, and the last words of crashes. It is refused while a monitor uses them.
`},
		{Name: "restore-counts", Takes: cli.Units, Old: "restore-counts", Flags: []string{cli.StateFile, cli.ConfigFile, cli.Services}, Run: restoreDropped,
			Help: "put back the counts of services that were removed",
			About: `Puts back the counts of services that were removed from the state file, from the
copies beside it: of the services that are named, by names or globs, or else of
all. It is refused while a monitor holds the state file.
`},
		{Name: "help", Takes: cli.Name, Old: "help", Letter: "h", Wins: true, Flags: startFlags, Run: showHelp,
			Help: "show this, or the help of a command",
			About: `Shows the commands, the flags, the keys of the configuration file and the
monitored services, or the help of a command.
`},
		{Name: "version", Old: "version", Letter: "v", Wins: true, Run: showVersion,
			Help:  "show the version",
			About: "Shows the version.\n"},
	}
}

// startMonitor runs the monitor. It is the command without a name.
//
// A SIGHUP that comes before the reloader runs waits for the reloader. One that comes while the pipeline ends
// means nothing. Nobody calls signal.Stop, because then the signal would kill the monitor, and what it has
// counted would not be saved.
func startMonitor(l cli.Line, stdout io.Writer) error {
	hangups := make(chan os.Signal, 1) // one reload is enough for several signals
	signal.Notify(hangups, syscall.SIGHUP)
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	m := newMonitor(loaded, stdout)
	m.hangups = hangups
	return asOwner(m.run, loaded.Config.Log.File, loaded.Config.State.File)
}

func checkConfig(l cli.Line, stdout io.Writer) error {
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	newMonitor(loaded, stdout).graph(nil, nil, nil)
	return checkStart(loaded, stdout)
}

func checkStateFile(l cli.Line, stdout io.Writer) error {
	if len(l.Args) == 0 {
		loaded, err := l.Load()
		if err != nil {
			return err
		}
		l.Args = []string{loaded.Config.State.File}
	}
	err := asOwner(func() error { return checkState(l.Args[0], stdout) }, l.Args[0])
	if errors.Is(err, files.ErrOwner) {
		err = fmt.Errorf("%w; %w", err, errNoState)
	}
	return err
}

func clearAll(l cli.Line, stdout io.Writer) error {
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	return asOwner(func() error { return clearFiles(loaded.Config, stdout) }, loaded.Config.Log.File, loaded.Config.State.File)
}

func restoreDropped(l cli.Line, stdout io.Writer) error {
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	return asOwner(func() error { return restoreCounts(loaded.Config, l.Args, stdout) }, loaded.Config.State.File)
}

func showHelp(l cli.Line, stdout io.Writer) error {
	loaded, fault := l.Load()
	name := ""
	if len(l.Args) > 0 {
		name = l.Args[0]
	}
	return l.Program.Usage(stdout, name, loaded, fault)
}

func showVersion(_ cli.Line, stdout io.Writer) error {
	_, err := fmt.Fprintln(stdout, "service-monitor", version)
	return err
}
