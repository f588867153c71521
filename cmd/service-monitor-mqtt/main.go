// Command service-monitor-mqtt publishes to an MQTT broker how the services are that service-monitor watches, and
// what happens to them. It only reads, and it cannot change anything on the gateway.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/companion"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/notify"
	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/publish"
	"service-monitor/pipeline"
	"service-monitor/stages/chronicle"
)

// version is set at link time.
var version = "0.1.0-dev"

func main() {
	spare()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run does the work of main, and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	if err == nil {
		err = o.run(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
	}
	return exitCode(err)
}

// serve publishes until SIGTERM or SIGINT.
func (o *options) serve() error {
	log := logrus.New()
	log.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true, DisableColors: true})
	client, err := o.client()
	if err != nil {
		return err
	}
	if err := companion.BecomeOwner(o.Config); err != nil {
		return err
	}
	file, at, err := cursor.Open(o.cursor, os.Getenv("RUNTIME_DIRECTORY"))
	if err != nil {
		return fmt.Errorf("%w; %w", err, errCursor)
	}
	for _, note := range file.Notes() {
		log.Warn(note)
	}
	stop, end := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer end()
	v := view.New(log, o.Config)
	g := pipeline.New(notify.New(log))
	events := pipeline.Add(g, "view", pipeline.Source(g, "listen", view.Listen(o.Config.Feed.Socket)), v)
	pipeline.Sink(g, "publish", events, publish.New(publish.Options{
		Log: log, Connect: client.connect, Explain: client.explain, Scheme: client.scheme, Under: client.under, Cursor: file, At: at,
		History: chronicle.Beside(o.Config.State.File), Crashes: o.crashLines, LeftOut: o.leftOut, Rate: o.rate, View: v, Calm: giveBack,
	}))
	return g.Run(stop)
}

// These errors choose the exit code.
var (
	errBroker = errors.New("the broker cannot be used")
	errCursor = errors.New("name a directory of this user with --cursor")
)

// The exit codes are those of service-monitor, of sysexits(3).
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, config.ErrUsage):
		return 64 // EX_USAGE
	case errors.Is(err, config.ErrConfig):
		return 78 // EX_CONFIG
	case errors.Is(err, errBroker):
		return 69 // EX_UNAVAILABLE
	case errors.Is(err, os.ErrPermission):
		return 77 // EX_NOPERM
	}
	return 1
}
