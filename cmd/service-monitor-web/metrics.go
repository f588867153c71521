package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/companion"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/service-monitor-web/internal/metrics"
)

// These errors choose the exit code, and say what to do.
var (
	errRights  = errors.New("run this as root, or as a member of the group service-monitor")
	errNoState = errors.New("start the monitor (systemctl start service-monitor), or name its state file with --persistence-file")
	errOutput  = errors.New("check that the directory is there and that this user may write to it, or name another file with --output")
)

// printMetrics prints the metrics once, or writes them into a file.
func (o *options) printMetrics(stdout io.Writer) error {
	c := o.Config
	if o.output == "" { // whoever may write the file of --output need not be who may read the others
		if err := companion.BecomeOwner(c); err != nil {
			return err
		}
	}
	s, err := ask.Status(c, func(string) bool { return true })
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot read the files of the monitor: %w; %w", err, errRights)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there are no files of a monitor at %s; %w", config.Show(c.State.File), errNoState)
	case err != nil:
		return err
	}
	if o.output == "" {
		return metrics.Write(stdout, s, o.metrics())
	}
	if err := metrics.Textfile(o.output, s, o.metrics()); err != nil {
		return fmt.Errorf("cannot write the metrics: %w; %w", err, errOutput)
	}
	return nil
}
