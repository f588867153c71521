package main

import (
	"fmt"
	"io"
	"strings"

	"service-monitor/cmd/internal/companion"
	"service-monitor/cmd/internal/config"
)

const (
	program      = "service-monitor-mqtt"
	checkCommand = "check"
	clearCommand = "clear"
	// defaultCursor is the directory that systemd makes for this program (StateDirectory=).
	defaultCursor = "/var/lib/service-monitor-mqtt"
)

// options is what the command line and the configuration say.
type options struct {
	*companion.Line
	cursor string
	check  bool
	*settings
}

// parse reads the command line and the configuration. Its errors are config.ErrUsage or config.ErrConfig.
func parse(args []string) (*options, error) {
	line, args, err := companion.New(program, args, checkCommand, clearCommand)
	if err != nil {
		return nil, err
	}
	s, own := newSettings()
	o := &options{Line: line, settings: s}
	if o.Command == "" {
		o.Set.BoolVar(&o.check, checkCommand, false, "")
	}
	o.File(&o.cursor, "cursor", "")
	if err := o.Parse(args); err != nil || o.Help || o.Version {
		return o, err
	}
	if o.check = o.check || o.Command == checkCommand; !o.Set.Changed("cursor") {
		o.cursor = defaultCursor
	}
	return o, o.Load(own)
}

// run does what the command line says.
func (o *options) run(stdout io.Writer) error {
	switch {
	case o.Help:
		_, err := io.WriteString(stdout, help())
		return err
	case o.Version:
		_, err := fmt.Fprintln(stdout, program, version)
		return err
	case o.check:
		return o.tryBroker(stdout)
	case o.Command == clearCommand:
		return o.clear(stdout)
	}
	return o.serve()
}

// help returns the help with all keys.
func help() string {
	var keys strings.Builder
	config.WriteRows(&keys, (&settings{}).rows())
	return fmt.Sprintf(usage, keys.String())
}

const usage = `Usage: service-monitor-mqtt [flags]
       service-monitor-mqtt check|clear [flags]

Publishes to an MQTT broker how the services are that service-monitor watches,
and what happens to them: each event at least once and in order, also what
happened while the broker was away. It changes nothing on this machine.

Commands:
  check      connect to the broker once, and say what is wrong
  clear      remove what the broker has retained of this gateway; stop the
             service before
  help       show this
  version    show the version

Flags to publish:
      --check                  the same as the command check

Flags of all:
      --cursor DIR             where it keeps how far the broker has confirmed;
                               default: /var/lib/service-monitor-mqtt
      --config FILE            the configuration of the monitor; default:
                               /etc/service-monitor/config.json
  -p, --persistence-file FILE  counters and last states; default: as configured
      --feed FILE              socket of the monitor; default: as configured
  -h, --help                   show this
  -v, --version                show the version

Keys of the configuration file, which is that of the monitor:
%s
They take effect when this program is restarted. User, password and private key
are credentials of systemd: mqtt-user, mqtt-password and mqtt-key.

Signals:
  SIGTERM, SIGINT  say goodbye to the broker, and end

Exit codes:
   0  ended as asked
   1  failed otherwise than below
  64  bad command line
  69  with check and clear: the broker cannot be used
  77  who runs this may not read the files of the monitor
  78  bad configuration
`
