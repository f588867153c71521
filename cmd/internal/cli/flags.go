package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/row"
)

// These are the names of the flags that commands may have.
const (
	LogFile    = "log-file"
	StateFile  = "persistence-file"
	ConfigFile = "config"
	Services   = "services"
	Debug      = "debug"
	Feed       = "feed"
	Reload     = "reload" // check as for a reload
	Since      = "since"
	Until      = "until"
	Crashes    = "crashes"
	Lines      = "lines"
	All        = "all"
	JSON       = "json"
	NoPager    = "no-pager"
	Watch      = "watch"
	Wide       = "wide"
	Full       = "full"
	Follow     = "follow"
	Crash      = "crash"
	Output     = "output"
	NoLines    = "no-lines"
)

// flags holds the values of the command line.
type flags struct {
	program                    *Program
	command                    *Command
	set                        *pflag.FlagSet
	help                       bool
	args                       []string
	config, logFile, stateFile filePath
	feed                       filePath
	services                   unitList
	debug, reload              bool
	ask                        Ask
	old                        []oldFlag
}

// An oldFlag is a flag from the time before there were commands. It runs a command.
type oldFlag struct {
	command *Command
	given   func() bool
	args    func() []string
}

func (p *Program) newFlags(c *Command) *flags {
	f := &flags{
		program:   p,
		command:   c,
		set:       pflag.NewFlagSet("service-monitor", pflag.ContinueOnError),
		config:    filePath(p.DefaultFile),
		logFile:   config.DefaultLogFile,
		stateFile: config.DefaultStateFile,
		feed:      config.DefaultFeed,
	}
	f.set.SortFlags = false
	f.set.SetInterspersed(false) // parse handles arguments between flags
	f.set.SetOutput(io.Discard)
	for _, name := range c.Flags {
		f.add(name)
	}
	if c.Name != "" {
		f.set.BoolVarP(&f.help, "help", "h", false, "show this and exit")
		return f
	}
	for i := range p.Commands {
		f.addOld(&p.Commands[i])
	}
	return f
}

// add adds a flag of the configuration.
func (f *flags) add(name string) {
	switch name {
	case LogFile:
		f.set.VarP(&f.logFile, name, "l", "the log, rotated at 1 MB with 3 backups")
	case StateFile:
		f.set.VarP(&f.stateFile, name, "p", "counters and last states")
	case ConfigFile:
		f.set.Var(&f.config, name, "the configuration")
	case Services:
		f.set.Var(&f.services, name, "names or globs, also comma separated;\ndefault: as listed by service-monitor help")
	case Feed:
		f.set.Var(&f.feed, name, "the socket of the monitor")
	case Debug:
		f.set.BoolVar(&f.debug, name, false, "log debug messages too; default: no")
	case Reload:
		f.set.BoolVar(&f.reload, name, false, "check as for a reload: the file has to be there")
	case Since:
		f.set.VarP(word{&f.ask.Since, "TIME"}, name, "", "from then on: 2h, yesterday, 10:30, 2026-11-27")
	case Until:
		f.set.VarP(word{&f.ask.Until, "TIME"}, name, "", "up to then")
	case Crashes:
		f.set.BoolVar(&f.ask.Crashes, name, false, "only crashes")
	case Lines:
		f.set.VarP(number{&f.ask.Lines}, name, "n", "only so many of the last lines; default: all,\nwith --follow 10")
	case All:
		f.set.BoolVar(&f.ask.All, name, false, "each event in a line of its own")
	case JSON:
		f.set.BoolVar(&f.ask.JSON, name, false, "as JSON, an object a line")
	case Crash:
		f.set.Var(number{&f.ask.Crash}, name, "the crash with this number; default: the last one")
	case Output:
		f.set.VarP(word{&f.ask.Output, "FILE"}, name, "o", "the archive; default: one in this directory, with\nthe time in its name")
	case NoLines:
		f.set.BoolVar(&f.ask.NoLines, name, false, "without what the services wrote into the journal")
	case Watch:
		f.set.BoolVarP(&f.ask.Watch, name, "w", false, "go on, and show each change")
	case Full:
		f.set.BoolVar(&f.ask.Full, name, false, "show all lines that were kept, and whole")
	case Wide:
		f.set.BoolVar(&f.ask.Wide, name, false, "show everything, however wide the lines become")
	case Follow:
		f.set.BoolVarP(&f.ask.Follow, name, "f", false, "go on, and show what comes")
	case NoPager:
		f.set.BoolVar(&f.ask.NoPager, name, false, "do not show it in a pager")
	default:
		panic("a command has the flag " + name + ", which there is not")
	}
}

// addOld adds the old flag of a command.
func (f *flags) addOld(c *Command) {
	if c.Old == "" {
		return
	}
	text := "the same as the command " + c.Name
	old := oldFlag{command: c, given: func() bool { return f.set.Changed(c.Old) }}
	switch c.Takes {
	case File:
		var file filePath
		f.set.VarP(&file, c.Old, c.Letter, text)
		old.args = func() []string { return []string{string(file)} }
	case Units:
		var units restoreList
		f.set.VarP(&units, c.Old, c.Letter, text)
		f.set.Lookup(c.Old).NoOptDefVal = allUnits
		old.args = func() []string { return units }
	default:
		var given bool
		f.set.BoolVarP(&given, c.Old, c.Letter, false, text)
		old.given, old.args = func() bool { return given }, func() []string { return nil }
	}
	f.old = append(f.old, old)
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
		list = f.lastList(list, args[:len(args)-len(rest)])
		if len(rest) == 0 {
			return f.check()
		}
		if err := f.take(rest[0], list); err != nil {
			return err
		}
		args = rest[1:]
	}
}

// lastList returns the last flag among these arguments that takes a list of units; before if
// there is none.
func (f *flags) lastList(before string, args []string) string {
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if flag := f.set.Lookup(name); name != arg && flag != nil && strings.Contains(flag.Value.Type(), "A B C") {
			before = name
		}
	}
	return before
}

// take handles an argument that is not a flag. It belongs to the list of the last flag, or to
// the command.
func (f *flags) take(arg, list string) error {
	if list != "" {
		if err := f.set.Lookup(list).Value.Set(arg); err != nil {
			return fmt.Errorf("--%s %w", list, err)
		}
		return nil
	}
	switch {
	case f.command.Takes == Units:
		f.args = append(f.args, strings.Split(arg, ",")...)
	case f.command.Takes == ShortUnits, f.command.Takes == ShortUnit:
		for _, name := range strings.Split(arg, ",") {
			f.args = append(f.args, config.Full(name))
		}
	case f.command.Takes == File && len(f.args) == 0:
		full, err := row.Absolute(arg, "")
		f.args = []string{full}
		if err != nil {
			return fmt.Errorf("the file %w", err)
		}
	case f.command.Takes == Name && len(f.args) == 0:
		f.args = []string{arg}
	case f.command.Name != "":
		return fmt.Errorf("unexpected argument %s; service-monitor help %s shows what may follow", row.Quote(arg), f.command.Name)
	case f.program.find(arg) != nil && arg != "":
		return fmt.Errorf("unexpected argument %s; a command comes first: service-monitor %s …", row.Quote(arg), arg)
	default:
		return fmt.Errorf("unexpected argument %s; name services after --services", row.Quote(arg))
	}
	return nil
}

// checkShort refuses several short flags in one argument: "-clear" would mean "-c -l ear", and
// clear the wrong files. Only the value of -l and -p may follow without a space.
func (f *flags) checkShort(args []string) error {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if len(arg) < 3 || arg[0] != '-' || arg[1] == '-' || i > 0 && slices.Contains([]string{"--" + Since, "--" + Until}, args[i-1]) {
			continue // "--since -1h" is as right as journalctl(1) has it
		}
		name, _, _ := strings.Cut(arg[1:], "=")
		if !strings.ContainsRune("lpno", rune(arg[1])) || f.set.Lookup(strings.ReplaceAll(name, "_", "-")) != nil {
			return f.unknown("-"+name, name)
		}
		if known := f.set.ShorthandLookup(arg[1:2]); arg[2:] == "=" && known != nil { // pflag takes the = for the value
			return fmt.Errorf("--%s needs a value: --%[1]s %s", known.Name, known.Value.Type())
		}
	}
	return nil
}

func (f *flags) check() error {
	var asked []string
	for _, old := range f.old {
		if old.given() && !old.command.Wins {
			asked = append(asked, "--"+old.command.Old)
		}
		if old.given() && old.command.Takes == Units {
			if i, err := config.CheckUnits(old.args()); err != nil {
				return fmt.Errorf("--%s entry %d: %w", old.command.Old, i+1, err)
			}
		}
	}
	if len(asked) > 1 {
		return fmt.Errorf("%s and %s exclude each other; give one of them", asked[0], asked[1])
	}
	if i, err := config.CheckUnits(f.services); err != nil {
		return fmt.Errorf("--services entry %d: %w", i+1, err)
	}
	if slices.Contains([]Args{Units, ShortUnits, ShortUnit}, f.command.Takes) {
		if i, err := config.CheckUnits(f.args); err != nil {
			return fmt.Errorf("%s entry %d: %w", f.command.Name, i+1, err)
		}
	}
	return nil
}

// line returns the command line that was read.
func (f *flags) line() Line {
	l := Line{Program: f.program, Command: f.command, Args: f.args, Source: f.source(), Ask: f.ask}
	for _, old := range f.old {
		if old.given() && (l.Command == f.command || old.command.Wins && !l.Command.Wins) {
			l.Command, l.Args = old.command, old.args()
		}
	}
	if f.help {
		l.Command, l.Args = f.program.find("help"), []string{f.command.Name}
	}
	return l
}

// source returns where the configuration comes from.
func (f *flags) source() config.Source {
	s := config.Source{File: string(f.config), Named: f.set.Changed(ConfigFile), Reload: f.reload}
	for _, o := range []config.Override{
		{Flag: Services, Put: func(c *config.Config) { c.Services = slices.Clone(f.services) }},
		{Flag: LogFile, Put: func(c *config.Config) { c.Log.File = string(f.logFile) }},
		{Flag: StateFile, Put: func(c *config.Config) { c.State.File = string(f.stateFile) }},
		{Flag: Feed, Put: func(c *config.Config) { c.Feed.Socket = string(f.feed) }},
		{Flag: Debug, Put: func(c *config.Config) { c.Debug = f.debug }},
	} {
		if f.set.Changed(o.Flag) {
			s.Overrides = append(s.Overrides, o)
		}
	}
	return s
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
	return fmt.Errorf("%w; %s lists the flags", err, f.helpWith())
}

func (f *flags) unknown(flag, name string) error {
	var names []string
	f.set.VisitAll(func(known *pflag.Flag) { names = append(names, known.Name) })
	if len(name) == 1 && name[0] < utf8.RuneSelf { // otherwise ShorthandLookup panics
		if known := f.set.ShorthandLookup(strings.ToLower(name)); known != nil {
			return fmt.Errorf("unknown flag %s; did you mean -%s?", row.Quote(flag), known.Shorthand)
		}
	} else if known := config.Nearest(name, names); known != "" {
		return fmt.Errorf("unknown flag %s; did you mean --%s?", row.Quote(flag), known)
	}
	return fmt.Errorf("unknown flag %s; %s lists the flags", row.Quote(flag), f.helpWith())
}

// helpWith returns how to get the help of the command.
func (f *flags) helpWith() string {
	if f.command.Name == "" {
		return "--help"
	}
	return "service-monitor help " + f.command.Name
}
