package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"service-monitor/stages/row"
)

// Action is what the command line asks for.
type Action uint8

// The actions. Help goes before Version, and both before all others.
const (
	Run Action = iota
	Help
	Version
	Clear      // remove the log, its backups and the state file
	Check      // parse, validate, wire, exit
	CheckState // check what is counted in Config.StateFile
	Restore    // put counts back into it that were dropped with their units
)

// A Command is a command line together with the configuration that it means.
type Command struct {
	Action Action
	// Config is valid, but if there is a Problem. Version and CheckState do not read
	// the file.
	Config Config
	// ConfigFile is an absolute path. FileFound is false if the defaults are used
	// because nothing is at the default path.
	ConfigFile string
	FileFound  bool
	// Restored are the names and globs of the units to put the counts back of, where the
	// action is Restore; none for all.
	Restored []string
	// Unused are the keys in the file that are accepted and not used.
	Unused []string
	// Problem is what is wrong with the file, where the action is Help: help is
	// given all the same, and Config is then what could be read of it.
	Problem error

	flags  *flags
	source source
}

// Parse returns the command of a command line, without the program's name. Its
// errors are ErrUsage or ErrConfig.
func Parse(args []string) (Command, error) { return parse(args, DefaultFile) }

func parse(args []string, defaultFile string) (Command, error) {
	f := newFlags(defaultFile)
	if err := f.parse(args); err != nil {
		return Command{}, problem{ErrUsage, err.Error()}
	}
	c := Command{Action: f.action(), Config: Default(), ConfigFile: string(f.config), Restored: f.restored, flags: f}
	switch c.Action {
	case Version:
		return c, nil
	case CheckState:
		c.Config.State.File = string(f.checked)
		return c, nil
	}
	c, err := c.load()
	if c.Action == Help {
		c.Problem, err = err, nil
	}
	return c, err
}

// Load reads the file again and puts the same flags over it. With an error, the
// command returned is the one before.
func (c Command) Load() (Command, error) {
	next, err := c.load()
	if err != nil {
		return c, err
	}
	return next, nil
}

func (c Command) load() (Command, error) {
	config, source, err := read(c.ConfigFile, Default())
	if err == nil && !source.found {
		err = c.absent()
	}
	c.Config, c.source, c.FileFound, c.Unused = config, source, source.found, source.unused()
	c.flags.apply(&c.Config)
	if err == nil {
		err = c.checkFiles()
	}
	return c, err
}

// absent is the error of a file that is not there, if it has to be. One that was
// there has to be there on reload: counters are dropped with their services, and
// the moment when an editor replaces the file must not do that.
func (c Command) absent() error {
	switch {
	case c.FileFound:
		return problem{ErrConfig, fmt.Sprintf("the configuration file %s has gone; "+
			"put it back, or restart the monitor for the defaults", show(c.ConfigFile))}
	case c.flags.set.Changed("config"):
		return problem{ErrConfig, fmt.Sprintf("the configuration file %s does not exist; "+
			"create it, or leave out --config for %s", show(c.ConfigFile), show(c.flags.set.Lookup("config").DefValue))}
	}
	return nil
}

// checkFiles makes sure that no file is written over, or cleared, as another.
func (c Command) checkFiles() error {
	kind, where := ErrConfig, show(c.ConfigFile)+": "
	if c.flags.set.Changed("log-file") || c.flags.set.Changed("persistence-file") {
		kind, where = ErrUsage, ""
	}
	files := []struct{ name, path string }{
		{"log", c.Config.Log.File}, {"persistence", c.Config.State.File}, {"configuration", c.ConfigFile},
	}
	for i, a := range files {
		for _, b := range files[i+1:] {
			if a.path == b.path {
				return problem{kind, fmt.Sprintf("%s%s file and %s file are both %s; give each a file of its own",
					where, a.name, b.name, show(a.path))}
			}
		}
	}
	return nil
}

// A filePath is the value of a flag: an absolute path.
type filePath string

func (f *filePath) String() string { return string(*f) }
func (f *filePath) Type() string   { return "FILE" }

func (f *filePath) Set(s string) error {
	if strings.HasPrefix(s, "-") {
		return fmt.Errorf("must be followed by a file name, found %s; write ./%s if that is its name", row.Quote(s), s)
	}
	full, err := row.Absolute(s, "")
	*f = filePath(full)
	return err
}

// A unitList is the value of --services.
type unitList []string

func (u *unitList) String() string { return "" }
func (u *unitList) Type() string   { return "A B C" }

func (u *unitList) Set(s string) error {
	if strings.HasPrefix(s, "-") {
		return fmt.Errorf("must be followed by a unit name, found %s", row.Quote(s))
	}
	*u = append(*u, strings.Split(s, ",")...)
	return nil
}

// A restoreList is the value of --restore-counts, which may have none.
type restoreList []string

// allUnits is the value of --restore-counts that has none.
const allUnits = "all"

func (u *restoreList) String() string { return "" }
func (u *restoreList) Type() string   { return "[A B C]" }

func (u *restoreList) Set(s string) error {
	if s != allUnits {
		*u = append(*u, strings.Split(s, ",")...)
	}
	return nil
}

// flags are what the command line says.
type flags struct {
	set                          *pflag.FlagSet
	config, logFile, stateFile   filePath
	checked                      filePath
	services                     unitList
	restored                     restoreList
	debug                        bool
	help, version, clear, checks bool
}

func newFlags(defaultFile string) *flags {
	f := &flags{
		set:       pflag.NewFlagSet("service-monitor", pflag.ContinueOnError),
		config:    filePath(defaultFile),
		logFile:   DefaultLogFile,
		stateFile: DefaultStateFile,
	}
	f.set.SortFlags = false
	f.set.SetInterspersed(false) // parse takes what is in between
	f.set.SetOutput(io.Discard)
	f.set.BoolVarP(&f.help, "help", "h", false, "show this and the monitored services, and exit")
	f.set.BoolVarP(&f.version, "version", "v", false, "show the version and exit")
	f.set.BoolVarP(&f.clear, "clear", "c", false, "remove log, backups and state file, and exit;\nrefused while a monitor holds them")
	f.set.BoolVar(&f.checks, "check", false, "check flags, configuration and that the monitor\nmay write its files, and exit")
	f.set.Var(&f.checked, "check-state", "check that the counts in a state file balance,\nand exit; a monitor may be using it")
	f.set.Var(&f.restored, "restore-counts", "put back the counts of services that were\nremoved from the state file, of all or of these,\nfrom the copies beside it, and exit;\nrefused while a monitor holds it")
	f.set.Lookup("restore-counts").NoOptDefVal = allUnits
	f.set.VarP(&f.logFile, "log-file", "l", "the log, rotated at 1 MB with 3 backups")
	f.set.VarP(&f.stateFile, "persistence-file", "p", "counters and last states")
	f.set.Var(&f.config, "config", "the configuration")
	f.set.Var(&f.services, "services", "names or globs, also comma separated;\ndefault: as listed at the end")
	f.set.BoolVar(&f.debug, "debug", false, "log debug messages too; default: no")
	return f
}

func (f *flags) parse(args []string) error {
	if err := f.checkShort(args); err != nil {
		return err
	}
	list := ""
	for {
		if err := f.set.Parse(args); err != nil {
			return f.explain(err)
		}
		rest := f.set.Args()
		list = lastList(list, args[:len(args)-len(rest)])
		if len(rest) == 0 {
			return f.check()
		}
		if list == "" {
			return fmt.Errorf("unexpected argument %s; name services after --services", row.Quote(rest[0]))
		}
		if err := f.set.Lookup(list).Value.Set(rest[0]); err != nil {
			return fmt.Errorf("--%s %w", list, err)
		}
		args = rest[1:]
	}
}

// lastList is the last flag of these arguments that is followed by units, or else the one
// before.
func lastList(before string, args []string) string {
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if name != arg && slices.Contains([]string{"services", "restore-counts"}, name) {
			before = name
		}
	}
	return before
}

// checkShort refuses short flags that are run together, but for the value of -l
// and -p: "-clear" would be taken for "-c -l ear", and clear the wrong files.
func (f *flags) checkShort(args []string) error {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if len(arg) < 3 || arg[0] != '-' || arg[1] == '-' {
			continue
		}
		name, _, _ := strings.Cut(arg[1:], "=")
		if !strings.ContainsRune("lp", rune(arg[1])) || f.set.Lookup(strings.ReplaceAll(name, "_", "-")) != nil {
			return f.unknown("-"+name, name)
		}
	}
	return nil
}

func (f *flags) check() error {
	var actions []string
	for _, a := range []struct {
		flag  string
		given bool
	}{{"--clear", f.clear}, {"--check", f.checks}, {"--check-state", f.checked != ""}, {"--restore-counts", f.set.Changed("restore-counts")}} {
		if a.given {
			actions = append(actions, a.flag)
		}
	}
	if len(actions) > 1 {
		return fmt.Errorf("%s and %s exclude each other; give one of them", actions[0], actions[1])
	}
	if i, err := checkUnits(f.services); err != nil {
		return fmt.Errorf("--services entry %d: %w", i+1, err)
	}
	if i, err := checkUnits(f.restored); err != nil {
		return fmt.Errorf("--restore-counts entry %d: %w", i+1, err)
	}
	return nil
}

// explain puts an error of pflag in the words of this package.
func (f *flags) explain(err error) error {
	switch e := err.(type) {
	case *pflag.NotExistError:
		if e.GetSpecifiedShortnames() != "" {
			return f.unknown("-"+e.GetSpecifiedName(), e.GetSpecifiedName())
		}
		return f.unknown("--"+e.GetSpecifiedName(), e.GetSpecifiedName())
	case *pflag.ValueRequiredError:
		return fmt.Errorf("--%s needs a value: --%[1]s %s", e.GetFlag().Name, e.GetFlag().Value.Type())
	case *pflag.InvalidValueError:
		if e.GetFlag().Value.Type() == "bool" {
			return fmt.Errorf("--%s is true, false or without value, found %s", e.GetFlag().Name, row.Quote(e.GetValue()))
		}
		return fmt.Errorf("--%s %w", e.GetFlag().Name, e.Unwrap())
	case *pflag.InvalidSyntaxError:
		return f.unknown(e.GetSpecifiedFlag(), e.GetSpecifiedFlag())
	}
	return fmt.Errorf("%w; --help lists the flags", err)
}

func (f *flags) unknown(flag, name string) error {
	var names []string
	f.set.VisitAll(func(known *pflag.Flag) { names = append(names, known.Name) })
	if len(name) == 1 && name[0] < utf8.RuneSelf { // or ShorthandLookup may panic
		if known := f.set.ShorthandLookup(strings.ToLower(name)); known != nil {
			return fmt.Errorf("unknown flag %s; did you mean -%s?", row.Quote(flag), known.Shorthand)
		}
	} else if known := nearest(name, names); known != "" {
		return fmt.Errorf("unknown flag %s; did you mean --%s?", row.Quote(flag), known)
	}
	return fmt.Errorf("unknown flag %s; --help lists the flags", row.Quote(flag))
}

func (f *flags) action() Action {
	switch {
	case f.help:
		return Help
	case f.version:
		return Version
	case f.clear:
		return Clear
	case f.checks:
		return Check
	case f.checked != "":
		return CheckState
	case f.set.Changed("restore-counts"):
		return Restore
	}
	return Run
}

// apply puts the flags over a configuration.
func (f *flags) apply(c *Config) {
	if f.set.Changed("services") {
		c.Services = slices.Clone(f.services)
	}
	if f.set.Changed("log-file") {
		c.Log.File = string(f.logFile)
	}
	if f.set.Changed("persistence-file") {
		c.State.File = string(f.stateFile)
	}
	if f.set.Changed("debug") {
		c.Debug = f.debug
	}
}

// Usage writes the help, with the services that the command monitors.
func Usage(w io.Writer, c Command) error {
	var b strings.Builder
	fmt.Fprint(&b, head)
	c.flags.set.VisitAll(func(flag *pflag.Flag) { writeFlag(&b, flag) })
	writeKeys(&b, c.Config.rows())
	fmt.Fprintf(&b, "\nFiles (relative names start at the working directory; in the configuration\n"+
		"file, at the directory of the default file):\n"+
		"  configuration  %s\n  log            %s\n  state          %s\n",
		show(c.ConfigFile), show(c.Config.Log.File), show(c.Config.State.File))
	fmt.Fprint(&b, tail)
	writeServices(&b, c)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeKeys(w io.Writer, rows []row.Row) {
	fmt.Fprint(w, "\nKeys of the configuration file, which is JSON; flags win over it:\n")
	var reloaded []string
	for _, r := range rows {
		fmt.Fprintf(w, "  %-18s  %s\n", r.Key, r.Line())
		if r.Reload {
			reloaded = append(reloaded, r.Key)
		}
	}
	fmt.Fprintf(w, "  %s\n                      of the Python monitor: accepted and not used\n", unusedKeys)
	fmt.Fprint(w, "  _…, //…             comments\n")
	fmt.Fprintf(w, "A reload takes %s; the other keys need a restart.\n", strings.Join(reloaded, " and "))
}

// writeFlag is used and not pflag's own, which shows "--help[=true|false]".
func writeFlag(w io.Writer, flag *pflag.Flag) {
	short, name, text := "    ", flag.Name, flag.Usage
	if flag.Shorthand != "" {
		short = "-" + flag.Shorthand + ", "
	}
	if flag.Value.Type() != "bool" {
		name += " " + flag.Value.Type()
	}
	if strings.HasPrefix(flag.DefValue, "/") {
		text += "; default:\n" + flag.DefValue
	}
	const indent = "\n                               "
	fmt.Fprintf(w, "  %s--%-23s%s\n", short, name, strings.ReplaceAll(text, "\n", indent))
}

const head = `Usage: service-monitor [flags]
       service-monitor --services mosquitto.service 'wirepas-sink-*.service'

Watches services of systemd, and counts, logs and saves each start, stop
and crash.

Flags:
`

const tail = `
Signals:
  SIGHUP           read the configuration file again; a bad one changes nothing
  SIGTERM, SIGINT  save and stop

Exit codes:
   0  stopped as asked
   1  a stage failed
  64  bad command line
  65  the state file to be checked is damaged, newer, or does not balance
  66  there is no such state file, or it cannot be read, or no
      copy has the counts that are to be restored
  69  no system bus
  73  cannot create or write the log or the state file
  75  another monitor holds the files
  78  bad configuration, or a state file of a newer version
`

func writeServices(w io.Writer, c Command) {
	if c.Problem == nil {
		fmt.Fprint(w, "\nMonitored services:\n")
	} else {
		fmt.Fprintf(w, "\nThe monitor does not start with this configuration:\n  %v\n", c.Problem)
		fmt.Fprint(w, "Services as far as the configuration can be read:\n")
	}
	for _, service := range c.Config.Services {
		fmt.Fprintf(w, "  %s\n", service)
	}
}
