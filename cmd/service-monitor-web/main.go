// Command service-monitor-web shows how the services are that service-monitor watches: as a page, as
// JSON, and as metrics for Prometheus. It only reads, and it cannot change anything.
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
	"service-monitor/cmd/service-monitor-web/internal/server"
	"service-monitor/pipeline"
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
		fmt.Fprintf(stderr, "service-monitor-web: %v\n", err)
	}
	return exitCode(err)
}

// serve serves until SIGTERM or SIGINT, or until nobody has asked for long enough.
func (o *options) serve() error {
	log := logrus.New()
	log.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true, DisableColors: true})
	listeners, activated, err := o.sockets()
	if err != nil {
		return err
	}
	if err := companion.BecomeOwner(o.Config); err != nil {
		return err
	}
	idle := o.idleExit
	if !o.Set.Changed(idleExit) && !activated {
		idle = 0
	}
	quit, end := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer end()
	graph, stop := context.WithCancel(context.Background())
	defer stop()
	c := o.Config
	v := view.New(log, c)
	g := pipeline.New(notify.New(log))
	events := pipeline.Add(g, "view", pipeline.Source(g, "listen", view.Listen(c.Feed.Socket)), v)
	pipeline.Sink(g, "serve", events, server.New(server.Options{
		View: v, Config: c, Metrics: o.metrics(), Listeners: listeners, Hosts: o.hosts, IdleExit: idle, Calm: giveBack, Quit: quit.Done(), Stop: stop,
	}))
	return g.Run(graph)
}

// These errors choose the exit code.
var (
	errUsage  = config.ErrUsage
	errConfig = config.ErrConfig
	errListen = errors.New("choose another address with --listen, or end the program that has it")
)

// The exit codes are those of service-monitor, of sysexits(3).
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 64 // EX_USAGE
	case errors.Is(err, errConfig):
		return 78 // EX_CONFIG
	case errors.Is(err, errNoState):
		return 66 // EX_NOINPUT
	case errors.Is(err, errListen):
		return 69 // EX_UNAVAILABLE
	case errors.Is(err, errOutput):
		return 73 // EX_CANTCREAT
	case errors.Is(err, errRights):
		return 77 // EX_NOPERM
	}
	return 1
}
