package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"service-monitor/cmd/internal/config"
)

// Usage writes the help of a command. If the name is empty, it writes the help of the program,
// with the configuration that is in force. The configuration may be bad: fault is its error.
func (p *Program) Usage(w io.Writer, name string, l config.Loaded, fault error) error {
	c := p.find(name)
	if c == nil {
		return p.unknown(name)
	}
	var b strings.Builder
	if name == "" {
		p.writeProgram(&b, l, fault)
	} else {
		fmt.Fprintf(&b, "Usage: service-monitor %s [flags]\n\n%s", strings.TrimSpace(c.Name+" "+c.Takes.String()), c.About)
		p.writeFlags(&b, c)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Program) writeProgram(w io.Writer, l config.Loaded, fault error) {
	fmt.Fprint(w, head)
	for _, c := range p.Commands {
		if c.Name != "" {
			fmt.Fprintf(w, "  %-25s  %s\n", strings.TrimSpace(c.Name+" "+c.Takes.String()), c.Help)
		}
	}
	p.writeFlags(w, p.find(""))
	config.WriteKeys(w)
	fmt.Fprintf(w, "\nFiles (relative names start at the working directory; in the configuration\n"+
		"file, at the directory of the default file):\n"+
		"  configuration  %s\n  log            %s\n  state          %s\n",
		config.Show(l.Source.File), config.Show(l.Config.Log.File), config.Show(l.Config.State.File))
	fmt.Fprint(w, signals)
	exits := slices.SortedFunc(slices.Values(p.Exits), func(a, b Exit) int { return a.Code - b.Code })
	for _, e := range exits {
		fmt.Fprintf(w, "  %2d  %s\n", e.Code, strings.ReplaceAll(e.Text, "\n", "\n      "))
	}
	writeServices(w, l.Config.Services, fault)
}

func (p *Program) writeFlags(w io.Writer, c *Command) {
	fmt.Fprint(w, "\nFlags:\n")
	p.newFlags(c).set.VisitAll(func(flag *pflag.Flag) { writeFlag(w, flag) })
}

// writeFlag replaces the text of pflag, which shows "--help[=true|false]".
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
       service-monitor COMMAND [flags]
       service-monitor --services mosquitto.service 'wirepas-sink-*.service'

Watches services of systemd, and counts, logs and saves each start, stop
and crash. With a command it does something else:

Commands:
`

const signals = `
Signals:
  SIGHUP           read the configuration file again; a bad one changes nothing
  SIGTERM, SIGINT  save and stop

Exit codes:
`

func writeServices(w io.Writer, services []string, fault error) {
	if fault == nil {
		fmt.Fprint(w, "\nMonitored services:\n")
	} else {
		fmt.Fprintf(w, "\nThe monitor does not start with this configuration:\n  %v\n", fault)
		fmt.Fprint(w, "Services as far as the configuration can be read:\n")
	}
	for _, service := range services {
		fmt.Fprintf(w, "  %s\n", service)
	}
}
