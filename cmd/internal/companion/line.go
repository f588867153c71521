// Package companion reads the command line of a program that goes with the monitor: a command, flags, and the
// configuration of the monitor.
package companion

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/row"
)

// These flags each companion has.
const (
	configFile = "config"
	stateFile  = "persistence-file"
	feedSocket = "feed"
)

// A Line is a command line.
type Line struct {
	Set           *pflag.FlagSet
	Command       string // empty for none
	Help, Version bool
	// Config is the configuration, once it is loaded.
	Config config.Config
	// Forms are what must follow a flag whose value has another form, by the flag.
	Forms map[string]string

	program             string
	config, state, feed string
	files               []file
}

// A file is a flag that is followed by the name of a file.
type file struct {
	flag string
	path *string
	put  func(*config.Config)
}

// New takes the command from the arguments. It returns the other arguments, for Parse. The caller adds the
// flags of the command before that.
func New(program string, args []string, commands ...string) (*Line, []string, error) {
	l := &Line{program: program, Set: pflag.NewFlagSet(program, pflag.ContinueOnError)}
	l.Set.SortFlags = false
	l.Set.SetOutput(io.Discard)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		l.Command, args = args[0], args[1:]
		if !slices.Contains(append(commands, "help", "version"), l.Command) {
			return nil, nil, config.Misuse("unknown command %s; %s help lists the commands", row.Quote(l.Command), program)
		}
	}
	return l, args, nil
}

// File adds a flag that is followed by the name of a file.
func (l *Line) File(target *string, flag, short string) { l.file(target, flag, short, nil) }

func (l *Line) file(target *string, flag, short string, put func(*config.Config)) {
	l.Set.StringVarP(target, flag, short, "", "")
	l.files = append(l.files, file{flag, target, put})
}

// Parse reads the flags. Its errors are config.ErrUsage.
func (l *Line) Parse(args []string) error {
	l.file(&l.config, configFile, "", nil)
	l.file(&l.state, stateFile, "p", func(c *config.Config) { c.State.File = l.state })
	l.file(&l.feed, feedSocket, "", func(c *config.Config) { c.Feed.Socket = l.feed })
	l.Set.BoolVarP(&l.Help, "help", "h", false, "")
	l.Set.BoolVarP(&l.Version, "version", "v", false, "")
	if err := l.Set.Parse(args); err != nil {
		return l.misuse(err)
	}
	l.Help, l.Version = l.Help || l.Command == "help", l.Version || l.Command == "version"
	if rest := l.Set.Args(); len(rest) > 0 && !l.Help && !l.Version {
		return config.Misuse("unexpected argument %s; %s help shows what there is", row.Quote(rest[0]), l.program)
	}
	return nil
}

// misuse puts an error of pflag into the words of this program.
func (l *Line) misuse(err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return l.unknown(unknown.GetSpecifiedName())
	case errors.As(err, &bare):
		return config.Misuse("--%s needs a value; %s help shows which", bare.GetFlag().Name, l.program)
	case errors.As(err, &invalid) && l.Forms[invalid.GetFlag().Name] != "":
		return l.Wrong(invalid.GetFlag().Name, row.Quote(invalid.GetValue()))
	}
	return config.Misuse("%v", err)
}

// Wrong returns the error for a flag whose value has another form than its Forms.
func (l *Line) Wrong(flag, found string) error {
	return config.Misuse("--%s must be followed by %s, found %s", flag, l.Forms[flag], found)
}

// unknown returns the error for a flag that there is not.
func (l *Line) unknown(name string) error {
	var names []string
	l.Set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	dashes := "--"
	if len(name) == 1 {
		dashes = "-"
	} else if better := config.Nearest(name, names); len(better) > 0 && len(better) < 2*len(name)+3 { // else it only has the same part of a word
		return config.Misuse("unknown flag %s; did you mean --%s?", row.Quote(dashes+name), better)
	}
	return config.Misuse("unknown flag %s; %s help lists the flags", row.Quote(dashes+name), l.program)
}

// Load checks the names of files, and reads the configuration of the monitor, with the keys of this program
// if it has any. Its errors are config.ErrUsage or config.ErrConfig.
func (l *Line) Load(own *config.Companion) (err error) {
	s := config.Source{File: config.DefaultFile, Named: l.Set.Changed(configFile), Companion: own}
	for _, f := range l.files {
		if !l.Set.Changed(f.flag) {
			continue
		}
		if strings.HasPrefix(*f.path, "-") {
			return config.Misuse("--%s must be followed by a file name, found %s; write ./%[2]s if that is its name", f.flag, row.Quote(*f.path))
		}
		if *f.path, err = row.Absolute(*f.path, ""); err != nil {
			return config.Misuse("--%s %v", f.flag, err)
		}
		if f.put != nil {
			s.Overrides = append(s.Overrides, config.Override{Flag: f.flag, Put: f.put})
		}
	}
	if s.Named {
		s.File = l.config
	}
	loaded, err := config.Load(s)
	l.Config = loaded.Config
	return err
}
