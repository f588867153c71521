package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"service-monitor/cmd/internal/companion"
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
)

// idleAfter is how long the program waits for another request if systemd has started it for one.
const idleAfter = 2 * time.Minute

// metricsCommand is the command that prints the metrics. Without a command the program serves.
const metricsCommand = "metrics"

// options is what the command line says.
type options struct {
	*companion.Line
	listen, output     string
	hosts              []string
	idleExit           time.Duration
	noStates, exporter bool
}

// parse reads the command line and the configuration. Its errors are errUsage or errConfig.
func parse(args []string) (*options, error) {
	line, args, err := companion.New("service-monitor-web", args, metricsCommand)
	if err != nil {
		return nil, err
	}
	o := &options{Line: line}
	line.Forms = map[string]string{idleExit: "a duration such as 2m, or 0 for never"}
	o.flags()
	if err := o.Parse(args); err != nil || o.Help || o.Version {
		return o, err
	}
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.Load(nil)
}

// flags adds the flags of the command.
func (o *options) flags() {
	if o.Command == metricsCommand {
		o.File(&o.output, outputFlag, "o")
	} else {
		o.Set.StringVar(&o.listen, listenFlag, "", "")
		o.Set.StringSliceVar(&o.hosts, allowHost, nil, "")
		o.Set.DurationVar(&o.idleExit, idleExit, idleAfter, "")
	}
	o.Set.BoolVar(&o.noStates, noUnitStates, false, "")
	o.Set.BoolVar(&o.exporter, exporterName, false, "")
}

// check checks the values of the flags.
func (o *options) check() error {
	if o.idleExit < 0 {
		return o.Wrong(idleExit, o.idleExit.String())
	}
	for _, host := range o.hosts {
		if host == "" || strings.ContainsAny(host, "/:*@ ") {
			return config.Misuse("--%s must be followed by names of this machine without port, found %s", allowHost, row.Quote(host))
		}
	}
	if o.Set.Changed(listenFlag) {
		return checkAddress(o.listen)
	}
	return nil
}

func (o *options) metrics() metrics.Options {
	return metrics.Options{Version: version, NoUnitStates: o.noStates, SystemdExporter: o.exporter}
}

// run does what the command line says.
func (o *options) run(stdout io.Writer) error {
	switch {
	case o.Help:
		_, err := io.WriteString(stdout, usage)
		return err
	case o.Version:
		_, err := fmt.Fprintln(stdout, "service-monitor-web", version)
		return err
	case o.Command == metricsCommand:
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
