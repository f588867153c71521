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
// for each SIGHUP.
type reloader struct{ m *monitor }

// Run sends lists until the monitor is to stop.
func (r *reloader) Run(ctx context.Context, p *pipeline.Port[pipeline.None, bus.List]) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if err := p.Send(ctx, bus.List{Services: r.m.command.Config.Services}); err != nil {
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
	old := r.m.command
	command, err := old.Load()
	if err != nil {
		r.m.log.WithField("error", err).Error("cannot reload the configuration; the old one stays in force")
		return old.Config.Services
	}
	for _, key := range needRestart(old.Config, command.Config) {
		r.m.log.WithField("key", key).Warn("changed in the configuration: takes effect when the monitor is restarted")
	}
	r.m.command = command
	r.m.setDebug(command.Config.Debug)
	r.m.log.WithFields(logrus.Fields{"services": len(command.Config.Services)}).Info("reloaded the configuration")
	return command.Config.Services
}

// needRestart names the keys that differ and are read at start only.
func needRestart(a, b config.Config) []string {
	var keys []string
	for _, k := range []struct {
		key    string
		differ bool
	}{
		{"log_file", a.LogFile != b.LogFile},
		{"persistence_file", a.StateFile != b.StateFile},
		{"stats_interval", a.StatsInterval != b.StatsInterval},
		{"fold_after", a.FoldAfter != b.FoldAfter},
		{"max_retries", a.MaxRetries != b.MaxRetries},
		{"save_quiet", a.SaveQuiet != b.SaveQuiet},
		{"save_deadline", a.SaveDeadline != b.SaveDeadline},
		{"audit_interval", a.AuditInterval != b.AuditInterval},
	} {
		if k.differ {
			keys = append(keys, k.key)
		}
	}
	return keys
}
