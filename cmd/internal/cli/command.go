// Package cli reads the command line by a table of commands.
package cli

import (
	"io"
	"path"
	"slices"
	"strings"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/row"
)

// A Command is named by the first argument. The command without a name runs if no command is
// named.
type Command struct {
	Name  string
	Takes Args
	Help  string // one line in the list of commands
	About string // the help of the command, several lines
	// Flags are the names of its flags, see flags.go.
	Flags []string
	// Old is the flag that does the same, from the time before there were commands. Letter is
	// its short form. Both may be empty.
	Old, Letter string
	// Wins is true if the old flag wins over those of other commands.
	Wins bool
	Run  func(Line, io.Writer) error
}

// Args says which arguments may follow a command besides flags.
type Args uint8

// Any of these arguments may be left out.
const (
	Nothing Args = iota
	File
	Units
	ShortUnits // units whose suffix may be left out
	ShortUnit  // one such unit; the command says so if it is left out
	Name
)

// String returns what the help shows.
func (a Args) String() string {
	return [...]string{"", "[FILE]", "[A B C]", "[A B C]", "SERVICE", "[COMMAND]"}[a]
}

// Program is a table of commands.
type Program struct {
	Commands []Command
	Exits    []Exit
	// DefaultFile is the configuration file unless the user names another one.
	DefaultFile string
}

// An Exit describes an exit code.
type Exit struct {
	Code int
	Text string // one or more lines
}

// A Line is a command line that was read.
type Line struct {
	Program *Program
	Command *Command
	Args    []string
	// Source says where the configuration comes from. It was not read yet.
	Source config.Source
	Ask    Ask
}

// Ask is what somebody wants to know.
type Ask struct {
	Since, Until                string // as they were written
	Crashes, All, JSON, NoPager bool
	Watch, Wide, Full, Follow   bool
	Lines, Crash                int
	Output                      string
	NoLines                     bool
}

// Wants reports whether the arguments name a unit, by its name or by a glob. Without arguments, each
// unit is wanted.
func (l Line) Wants(unit string) bool {
	for _, name := range l.Args {
		if matched, _ := path.Match(name, unit); matched || name == unit {
			return true
		}
	}
	return len(l.Args) == 0
}

// Missing returns the arguments that name none of these units.
func (l Line) Missing(units []string) []string {
	return slices.DeleteFunc(slices.Clone(l.Args), func(name string) bool {
		return slices.ContainsFunc(units, Line{Args: []string{name}}.Wants)
	})
}

// Load reads the configuration.
func (l Line) Load() (config.Loaded, error) { return config.Load(l.Source) }

// Parse reads a command line without the program's name. It finds the command before it reads
// the flags, because each command has its own flags. Its errors are config.ErrUsage.
func (p *Program) Parse(args []string) (Line, error) {
	c, rest, err := p.dispatch(args)
	if err != nil {
		return Line{}, err
	}
	f := p.newFlags(c)
	if err := f.parse(rest); err != nil {
		return Line{}, config.Misuse("%s", err)
	}
	return f.line(), nil
}

// dispatch returns the command that the first argument names, and the other arguments.
func (p *Program) dispatch(args []string) (c *Command, rest []string, err error) {
	if len(args) == 0 || args[0] == "" || args[0][0] == '-' {
		return p.find(""), args, nil
	}
	if c = p.find(args[0]); c == nil {
		return nil, nil, p.unknown(args[0])
	}
	return c, args[1:], nil
}

// find returns the command with a name; nil if there is none.
func (p *Program) find(name string) *Command {
	i := slices.IndexFunc(p.Commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Commands[i]
}

// unknown returns the error for a first argument that names no command.
func (p *Program) unknown(word string) error {
	if strings.Contains(word, ".service") {
		return config.Misuse("unexpected argument %s; name services after --services", row.Quote(word))
	}
	better := ""
	if i := slices.IndexFunc(p.Commands, func(c Command) bool { return c.Old == word && c.Old != "" }); i >= 0 {
		better = p.Commands[i].Name
	} else {
		better = config.Nearest(word, p.names())
	}
	if better != "" {
		return config.Misuse("unknown command %s; did you mean %s?", row.Quote(word), better)
	}
	return config.Misuse("unknown command %s; service-monitor help lists the commands", row.Quote(word))
}

// names returns the names of all commands that have one.
func (p *Program) names() []string {
	var names []string
	for _, c := range p.Commands {
		if c.Name != "" {
			names = append(names, c.Name)
		}
	}
	return names
}
