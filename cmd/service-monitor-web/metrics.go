package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/service-monitor-web/internal/metrics"
	"service-monitor/stages/files"
)

// These errors choose the exit code, and say what to do.
var (
	errRights  = errors.New("run this as root, or as a member of the group service-monitor")
	errNoState = errors.New("start the monitor (systemctl start service-monitor), or name its state file with --persistence-file")
	errOutput  = errors.New("check that the directory is there and that this user may write to it, or name another file with --output")
)

// becomeOwner gives up the rights of root, for those of the user to whom the files of the monitor belong.
func becomeOwner(c config.Config) error {
	if _, err := files.Become(c.State.File); errors.Is(err, files.ErrOwner) { // who reads the files has a better text for any other error
		return fmt.Errorf("cannot use the files: %w", err)
	}
	return nil
}

// printMetrics prints the metrics once, or writes them into a file.
func (o *options) printMetrics(stdout io.Writer) error {
	c := o.loaded.Config
	if o.output == "" { // whoever may write the file of --output need not be who may read the others
		if err := becomeOwner(c); err != nil {
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
