package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/row"
)

// The names of the flags.
const (
	listenFlag = "listen"
	allowHost  = "allow-host"
	idleExit   = "idle-exit"
	configFile = "config"
	stateFile  = "persistence-file"
	feedSocket = "feed"
)

// idleAfter is how long the program waits for another request if systemd has started it for one.
const idleAfter = 2 * time.Minute

// options is what the command line says.
type options struct {
	set           *pflag.FlagSet
	listen        string
	hosts         []string
	idleExit      time.Duration
	config        string
	state, feed   string
	help, version bool
	loaded        config.Loaded
}

// parse reads the command line and the configuration. Its errors are errUsage or errConfig.
func parse(args []string) (*options, error) {
	o := &options{}
	o.set = o.flags()
	if err := o.set.Parse(args); err != nil {
		return nil, misuse(err)
	}
	rest := o.set.Args()
	if len(rest) == 1 && rest[0] == "help" {
		o.help, rest = true, nil
	}
	if len(rest) > 0 {
		return nil, config.Misuse("unexpected argument %s; service-monitor-web --help shows what there is", row.Quote(rest[0]))
	}
	if o.help || o.version {
		return o, nil
	}
	return o, o.load()
}

func (o *options) flags() *pflag.FlagSet {
	set := pflag.NewFlagSet("service-monitor-web", pflag.ContinueOnError)
	set.SortFlags = false
	set.SetOutput(io.Discard)
	set.StringVar(&o.listen, listenFlag, "", "serve at ADDRESS")
	set.StringSliceVar(&o.hosts, allowHost, nil, "further names")
	set.DurationVar(&o.idleExit, idleExit, idleAfter, "end when nobody asks")
	set.StringVar(&o.config, configFile, config.DefaultFile, "the configuration")
	set.StringVarP(&o.state, stateFile, "p", "", "the state file")
	set.StringVar(&o.feed, feedSocket, "", "the socket of the monitor")
	set.BoolVarP(&o.help, "help", "h", false, "show this")
	set.BoolVarP(&o.version, "version", "v", false, "show the version")
	return set
}

// misuse puts an error of pflag into the words of this program.
func misuse(err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return config.Misuse("unknown flag %s; service-monitor-web --help lists the flags", row.Quote(strings.TrimLeft(unknown.GetSpecifiedName(), "-")))
	case errors.As(err, &bare):
		return config.Misuse("--%s needs a value", bare.GetFlag().Name)
	case errors.As(err, &invalid) && invalid.GetFlag().Name == idleExit:
		return config.Misuse("--%s must be followed by a duration such as 2m, or 0 for never, found %s", idleExit, row.Quote(invalid.GetValue()))
	}
	return config.Misuse("%v", err)
}

// load checks the flags, and reads the configuration of the monitor.
func (o *options) load() (err error) {
	if o.idleExit < 0 {
		return config.Misuse("--%s must be a duration such as 2m, or 0 for never, found %v", idleExit, o.idleExit)
	}
	for _, host := range o.hosts {
		if host == "" || strings.ContainsAny(host, "/:*@ ") {
			return config.Misuse("--%s must be followed by names of this machine without port, found %s", allowHost, row.Quote(host))
		}
	}
	s := config.Source{File: config.DefaultFile, Named: o.set.Changed(configFile)}
	for _, f := range []struct {
		flag string
		path *string
		put  func(*config.Config)
	}{
		{configFile, &o.config, func(*config.Config) { s.File = o.config }},
		{stateFile, &o.state, func(c *config.Config) { c.State.File = o.state }},
		{feedSocket, &o.feed, func(c *config.Config) { c.Feed.Socket = o.feed }},
	} {
		if !o.set.Changed(f.flag) {
			continue
		}
		if strings.HasPrefix(*f.path, "-") {
			return config.Misuse("--%s must be followed by a file name, found %s", f.flag, row.Quote(*f.path))
		}
		if *f.path, err = row.Absolute(*f.path, ""); err != nil {
			return config.Misuse("--%s %v", f.flag, err)
		}
		if f.flag == configFile {
			s.File = o.config
			continue
		}
		s.Overrides = append(s.Overrides, config.Override{Flag: f.flag, Put: f.put})
	}
	s.Overrides = slices.Clip(s.Overrides)
	o.loaded, err = config.Load(s)
	return err
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
	}
	return o.serve()
}

const usage = `Usage: service-monitor-web [flags]
`
