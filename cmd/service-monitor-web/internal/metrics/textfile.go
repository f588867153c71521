package metrics

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/files"
)

// Textfile writes the metrics of a status to a file for node_exporter's textfile collector. At any time
// the file has all metrics of one status, or it is not there. Everybody may read it, because
// node_exporter is another user.
func Textfile(path string, s *tell.Status, o Options) error {
	if err := replaceable(path); err != nil {
		return err
	}
	// node_exporter reads only files that end with .prom, so it never reads this one.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err = errors.Join(fill(f, s, o), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}

// replaceable returns an error if something is at path that is no regular file, or that another user may
// have put there for root. A symbolic link is not followed: the file that it leads to could be any.
func replaceable(path string) error {
	f, err := files.Open(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// fill writes all metrics to a file. After a power cut, the file would be empty without the sync.
func fill(f *os.File, s *tell.Status, o Options) error {
	w := bufio.NewWriter(f)
	if err := Write(w, s, o); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
}
