package main

import (
	"context"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/config"
	"service-monitor/pipeline"
	"service-monitor/stages/bus"
)

// reloader is the first stage. It sends the list of services at the start, and a new list after
// each SIGHUP. It does not change the configuration of the running monitor.
type reloader struct {
	m    *monitor
	last config.Loaded // the last configuration that was read without an error
}

func newReloader(m *monitor) *reloader { return &reloader{m: m, last: m.running} }

// Run sends lists until the stop.
func (r *reloader) Run(ctx context.Context, p *pipeline.Port[pipeline.None, bus.List]) error {
	if err := p.Send(ctx, bus.List{Services: r.last.Config.Services}); err != nil {
		return err
	}
	for {
		select {
		case <-r.m.hangups:
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

// reload reads the configuration again and returns the services to monitor from now on. A bad
// configuration changes nothing.
func (r *reloader) reload() []string {
	read, err := r.last.Reload()
	if err != nil {
		r.m.log.WithField("error", err).Error("cannot reload the configuration; the old one stays in force")
		return r.last.Config.Services
	}
	// Compare with what runs, not with what was read last: an earlier reload has not applied
	// these keys either.
	for _, key := range config.NeedRestart(r.m.running.Config, read.Config) {
		r.m.log.WithField("key", key).Warn("changed in the configuration: takes effect when the monitor is restarted")
	}
	r.last = read
	r.m.setDebug(read.Config.Debug)
	r.m.log.WithFields(logrus.Fields{"services": len(read.Config.Services)}).Info("reloaded the configuration")
	return read.Config.Services
}
