package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"service-monitor/cmd/service-monitor/internal/config"
)

// A refusal is what check-config finds. It is of the kind of the error with which the
// monitor would not start.
type refusal struct {
	kind error
	text string
}

func (r refusal) Error() string { return r.text }

func (r refusal) Is(target error) bool { return target == r.kind }

// checkStart says whether a start with this command would succeed, as far as that
// can be known before. It writes nothing, and takes no lock: a monitor may run.
func checkStart(loaded config.Loaded, stdout io.Writer) error {
	if len(loaded.Unused) > 0 {
		fmt.Fprintf(stdout, "%s: not used, and may be removed: %s\n", config.Show(loaded.Source.File), strings.Join(loaded.Unused, ", "))
	}
	a, by, err := judge(unitUser)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, by)
	if err := checkFiles(loaded, a, stdout); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "the configuration is good: %d services\n", len(loaded.Config.Services))
	return nil
}

// A planned file is one that the monitor is to write.
type planned struct {
	key, what, path string
	want            uint32 // what the monitor must be allowed to do with it, if it is there
	replaced        bool   // it is replaced by another file, and not written over
}

const write = unix.R_OK | unix.W_OK

func plan(c config.Config) []planned {
	return []planned{
		{config.LogFileKey, "log file", c.Log.File, write, false},
		{config.StateFileKey, "state file", c.State.File, unix.R_OK, true},
	}
}

// each does something with the file and those beside it that a start needs, up to
// the first error.
func (f planned) each(path string, may func(path string, want uint32) error) error {
	err := may(path, f.want)
	if err == nil {
		err = may(path+".lock", write)
	}
	if err == nil && f.replaced {
		err = may(path+".tmp", unix.F_OK) // one that is left over is removed
	}
	return err
}

func checkFiles(loaded config.Loaded, a account, stdout io.Writer) error {
	files := plan(loaded.Config)
	for _, f := range files {
		if start := loaded.StartsAt(f.key); start != "" {
			fmt.Fprintf(stdout, "%s: %s is relative, and starts at %s\n", config.Show(f.path), f.key, start)
		}
	}
	rest, err := mayUseGiven(loaded, a, files)
	if err != nil {
		return err
	}
	if err := a.become(); err != nil {
		return fmt.Errorf("cannot check with the rights of %s: %w; call check-config as that user", a.name, err)
	}
	if err := mayRead(loaded, a); err != nil {
		return err
	}
	for _, f := range rest {
		if err := a.mayUse(f); err != nil {
			return refused(loaded, a, f, err)
		}
	}
	for _, f := range files {
		if unitDirectory(f.path) == "" {
			fmt.Fprintf(stdout, "%s: not in a directory of the unit; whether the unit allows it (ReadWritePaths=, see service-monitor(5)) is not checked\n", config.Show(f.path))
		}
	}
	return nil
}

// mayUseGiven judges by what the unit does before the start, as long as this process
// may see it. It returns the files of which that says nothing.
func mayUseGiven(loaded config.Loaded, a account, files []planned) (rest []planned, err error) {
	for _, dir := range unitDirectories {
		if info, err := os.Lstat(dir); err == nil && !info.IsDir() && a.ofUnit {
			return nil, refusal{errFile, fmt.Sprintf("%s is %s, and the unit starts only with a directory there, whatever the configuration says; "+
				"move it away, and to have the files elsewhere mount that there, or name other files", dir, kindOf(info))}
		}
	}
	for _, f := range files {
		judged, err := a.mayUseGiven(f)
		if err != nil {
			return nil, refused(loaded, a, f, err)
		}
		if !judged {
			rest = append(rest, f)
		}
	}
	return rest, nil
}

func refused(loaded config.Loaded, a account, f planned, err error) error {
	return refusal{errFile, fmt.Sprintf("%s: %s cannot use %s as %s: %v", loaded.Origin(f.key), a.name, config.Show(f.path), f.what, err)}
}

// mayRead makes sure that the user may read the configuration, which its own caller
// has read.
func mayRead(loaded config.Loaded, a account) error {
	err := unix.Access(loaded.Source.File, unix.R_OK)
	if err == nil || !loaded.Found && errors.Is(err, unix.ENOENT) {
		return nil
	}
	return refusal{config.ErrConfig, fmt.Sprintf("%s cannot read the configuration file %s: %v; "+
		"let everybody read it (chmod a+r), and enter its directories (chmod a+x)", a.name, config.Show(loaded.Source.File), err)}
}

// unitDirectories are made by the unit at each start, and given to its user with
// all that is in them (StateDirectory=, LogsDirectory=, tmpfiles.conf).
var unitDirectories = []string{filepath.Dir(config.DefaultLogFile), filepath.Dir(config.DefaultStateFile)}

// unitDirectory is the one in which a file is; empty if it is elsewhere.
func unitDirectory(path string) string {
	for _, dir := range unitDirectories {
		if strings.HasPrefix(path, dir+"/") {
			return dir
		}
	}
	return ""
}
