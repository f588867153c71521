package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"service-monitor/cmd/internal/ask"
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
	c := o.loaded.Config
	s, err := ask.Status(c, func(string) bool { return true })
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot read the files of the monitor: %w; %w", err, errRights)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there are no files of a monitor at %s; %w", config.Show(c.State.File), errNoState)
	case err != nil:
		return err
	}
	var b bytes.Buffer
	if err := metrics.Write(&b, s, o.metrics()); err != nil {
		return err
	}
	if o.output == "" {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	if err := replace(o.output, b.Bytes()); err != nil {
		return fmt.Errorf("cannot write %s: %w; %w", config.Show(o.output), err, errOutput)
	}
	return nil
}

// replace writes a file beside another, and puts it in its place. Whoever reads it meanwhile, such as
// node_exporter, finds the one or the other as a whole. It need not survive a power cut: the next one comes
// soon.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails if it was renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
