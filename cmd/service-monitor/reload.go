package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/service-monitor/internal/config"
	"service-monitor/pipeline"
	"service-monitor/stages/bus"
)

// reloader is the first stage: it sends the list of services, and a new one
// for each SIGHUP. The configuration with which the monitor runs stays as it is.
type reloader struct {
	m    *monitor
	last config.Loaded // what was read last, without an error
}

func newReloader(m *monitor) *reloader { return &reloader{m: m, last: m.running} }

// Run sends lists until the monitor is to stop.
func (r *reloader) Run(ctx context.Context, p *pipeline.Port[pipeline.None, bus.List]) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if err := p.Send(ctx, bus.List{Services: r.last.Config.Services}); err != nil {
		return err
	}
	for {
		select {
		case <-hangup:
			p.Reloading()
			if err := p.Send(ctx, bus.List{Services: r.reload()}); err != nil {
				return err
			}
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			r.m.log.Info("stopping")
			return nil
		}
	}
}

// reload reads the configuration again and returns the services that are to be
// monitored now. A bad configuration changes nothing.
func (r *reloader) reload() []string {
	read, err := r.last.Reload()
	if err != nil {
		r.m.log.WithField("error", err).Error("cannot reload the configuration; the old one stays in force")
		return r.last.Config.Services
	}
	// What was read last may not be what runs: an earlier reload did not take it either.
	for _, key := range config.NeedRestart(r.m.running.Config, read.Config) {
		r.m.log.WithField("key", key).Warn("changed in the configuration: takes effect when the monitor is restarted")
	}
	r.last = read
	r.m.setDebug(read.Config.Debug)
	r.m.log.WithFields(logrus.Fields{"services": len(read.Config.Services)}).Info("reloaded the configuration")
	return read.Config.Services
}
