package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/service-monitor-web/internal/metrics"
	"service-monitor/stages/row"
)

// These are the names of the flags.
const (
	listenFlag   = "listen"
	allowHost    = "allow-host"
	idleExit     = "idle-exit"
	outputFlag   = "output"
	noUnitStates = "no-unit-states"
	exporterName = "systemd-exporter-names"
	configFile   = "config"
	stateFile    = "persistence-file"
	feedSocket   = "feed"
)

// idleAfter is how long the program waits for another request if systemd has started it for one.
const idleAfter = 2 * time.Minute

// options is what the command line says.
type options struct {
	set                 *pflag.FlagSet
	command             string // empty to serve
	listen, output      string
	hosts               []string
	idleExit            time.Duration
	noStates, exporter  bool
	config, state, feed string
	help, version       bool
	loaded              config.Loaded
}

// parse reads the command line and the configuration. Its errors are errUsage or errConfig.
func parse(args []string) (*options, error) {
	o := &options{}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.command, args = args[0], args[1:]
	}
	switch o.command {
	case "", "metrics", "help", "version":
	default:
		return nil, config.Misuse("unknown command %s; service-monitor-web help lists the commands", row.Quote(o.command))
	}
	o.set = o.flags()
	if err := o.set.Parse(args); err != nil {
		return nil, o.misuse(err)
	}
	o.help, o.version = o.help || o.command == "help", o.version || o.command == "version"
	if o.help || o.version {
		return o, nil
	}
	if rest := o.set.Args(); len(rest) > 0 {
		return nil, config.Misuse("unexpected argument %s; service-monitor-web help shows what there is", row.Quote(rest[0]))
	}
	return o, o.load()
}

// flags returns the flags of the command.
func (o *options) flags() *pflag.FlagSet {
	set := pflag.NewFlagSet("service-monitor-web", pflag.ContinueOnError)
	set.SortFlags = false
	set.SetOutput(io.Discard)
	if o.command == "metrics" {
		set.StringVarP(&o.output, outputFlag, "o", "", "")
	} else {
		set.StringVar(&o.listen, listenFlag, "", "")
		set.StringSliceVar(&o.hosts, allowHost, nil, "")
		set.DurationVar(&o.idleExit, idleExit, idleAfter, "")
	}
	set.BoolVar(&o.noStates, noUnitStates, false, "")
	set.BoolVar(&o.exporter, exporterName, false, "")
	set.StringVar(&o.config, configFile, config.DefaultFile, "")
	set.StringVarP(&o.state, stateFile, "p", "", "")
	set.StringVar(&o.feed, feedSocket, "", "")
	set.BoolVarP(&o.help, "help", "h", false, "")
	set.BoolVarP(&o.version, "version", "v", false, "")
	return set
}

// misuse puts an error of pflag into the words of this program.
func (o *options) misuse(err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return o.unknown(unknown.GetSpecifiedName())
	case errors.As(err, &bare):
		return config.Misuse("--%s needs a value; service-monitor-web help shows which", bare.GetFlag().Name)
	case errors.As(err, &invalid) && invalid.GetFlag().Name == idleExit:
		return config.Misuse("--%s must be followed by a duration such as 2m, or 0 for never, found %s", idleExit, row.Quote(invalid.GetValue()))
	}
	return config.Misuse("%v", err)
}

// unknown returns the error for a flag that there is not.
func (o *options) unknown(name string) error {
	var names []string
	o.set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	dashes := "--"
	if len(name) == 1 {
		dashes = "-"
	} else if better := config.Nearest(name, names); len(better) > 0 && len(better) < 2*len(name)+3 { // else it only has the same part of a word
		return config.Misuse("unknown flag %s; did you mean --%s?", row.Quote(dashes+name), better)
	}
	return config.Misuse("unknown flag %s; service-monitor-web help lists the flags", row.Quote(dashes+name))
}

// load checks the flags, and reads the configuration of the monitor.
func (o *options) load() (err error) {
	if o.idleExit < 0 {
		return config.Misuse("--%s must be followed by a duration such as 2m, or 0 for never, found %v", idleExit, o.idleExit)
	}
	for _, host := range o.hosts {
		if host == "" || strings.ContainsAny(host, "/:*@ ") {
			return config.Misuse("--%s must be followed by names of this machine without port, found %s", allowHost, row.Quote(host))
		}
	}
	if o.set.Changed(listenFlag) {
		if err := checkAddress(o.listen); err != nil {
			return err
		}
	}
	s := config.Source{File: config.DefaultFile, Named: o.set.Changed(configFile)}
	for _, f := range []struct {
		flag string
		path *string
		put  func(*config.Config)
	}{
		{configFile, &o.config, nil},
		{outputFlag, &o.output, nil},
		{stateFile, &o.state, func(c *config.Config) { c.State.File = o.state }},
		{feedSocket, &o.feed, func(c *config.Config) { c.Feed.Socket = o.feed }},
	} {
		if !o.set.Changed(f.flag) {
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
		s.File = o.config
	}
	o.loaded, err = config.Load(s)
	return err
}

func (o *options) metrics() metrics.Options {
	return metrics.Options{Version: version, NoUnitStates: o.noStates, SystemdExporter: o.exporter}
}

// run does what the command line says.
func (o *options) run(stdout io.Writer) error {
	switch {
	case o.help:
		_, err := io.WriteString(stdout, usage)
		return err
	case o.version:
		_, err := fmt.Fprintln(stdout, "service-monitor-web", version)
		return err
	case o.command == "metrics":
		return o.printMetrics(stdout)
	}
	return o.serve()
}

const usage = `Usage: service-monitor-web [flags]
       service-monitor-web metrics [--output FILE.prom] [flags]
       service-monitor-web --listen 127.0.0.1:12937

Shows how the services are that service-monitor watches: as a page for a browser,
as JSON, and as metrics for Prometheus. It only reads, and cannot change anything.

Commands:
  metrics                    print the metrics once, and end
  help                       show this
  version                    show the version

Without a command it serves:
  /                          the page
  /metrics                   the metrics
  /api/status                as service-monitor status --json
  /api/why?unit=NAME         as service-monitor why --json
  /api/history?unit=NAME     as service-monitor history --json, the last 50 events
  /api/timeline?hours=24     when each service was up, down or stopped
  /events                    what happens, as server-sent events
  /-/healthy                 200 as long as this program answers

Flags to serve:
      --listen ADDRESS           HOST:PORT, or the path of a unix socket; default:
                                 the sockets that systemd passes
      --allow-host A,B           further names of this machine that a browser may
                                 use; its addresses, localhost and its host name
                                 need not be named
      --idle-exit DURATION       end when nobody has asked for so long, 0 for never;
                                 default: 2m with the sockets of systemd, else 0

Flags of metrics:
  -o, --output FILE              write them into a file, which is replaced as a whole

Flags of both:
      --no-unit-states           leave out the states and healths of the services,
                                 of which each has a dozen and a half
      --systemd-exporter-names   add metrics with the names of systemd_exporter
      --config FILE              the configuration of the monitor; default:
                                 /etc/service-monitor/config.json
  -p, --persistence-file FILE    counters and last states; default: as configured
      --feed FILE                the socket of the monitor; default: as configured
  -h, --help                     show this
  -v, --version                  show the version

Signals:
  SIGTERM, SIGINT  answer whoever has asked, and end

Exit codes:
   0  ended as asked, or because nobody asked any more
   1  failed otherwise than below
  64  bad command line
  66  with metrics: there is no state file, or it cannot be read
  69  the address cannot be used
  73  with metrics: the file of --output cannot be written
  77  with metrics: who runs this may not read the files of the monitor
  78  bad configuration
`
