package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

// A refusal is an error that check-config finds. Its kind is the error with which a start
// would fail.
type refusal struct {
	kind error
	text string
}

func (r refusal) Error() string { return r.text }

func (r refusal) Is(target error) bool { return target == r.kind }

// checkStart checks whether a start with this configuration would succeed, as far as that can
// be known before. It writes no files and takes no lock for longer than a moment, because a monitor may be running.
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

// A planned file is a file that the monitor will write.
type planned struct {
	key, what, path string
	want            uint32 // the access that the monitor needs if the file exists
	replaced        bool   // the monitor replaces it by a new file, and does not write into it
}

const write = unix.R_OK | unix.W_OK

func plan(c config.Config) []planned {
	return []planned{
		{config.LogFileKey, "log file", c.Log.File, write, false},
		{config.StateFileKey, "state file", c.State.File, unix.R_OK, true},
	}
}

// each calls may for the file and for the files beside it that a start needs. It returns the
// first error.
func (f planned) each(path string, may func(path string, want uint32) error) error {
	err := may(path, f.want)
	if err == nil {
		err = may(path+".lock", write)
	}
	if err == nil && f.replaced {
		err = may(path+".tmp", unix.F_OK) // the monitor only removes an old one
	}
	if _, missing := os.Lstat(path); err == nil && f.replaced && errors.Is(missing, fs.ErrNotExist) {
		err = may(path+".previous", unix.R_OK) // then the start reads the generation before
	}
	return err
}

// longestSocket is how many bytes the path of a socket may have.
const longestSocket = len(unix.RawSockaddrUnix{}.Path) - 1

func checkFiles(loaded config.Loaded, a account, stdout io.Writer) error {
	uses := plan(loaded.Config)
	for _, f := range uses {
		if start := loaded.StartsAt(f.key); start != "" {
			fmt.Fprintf(stdout, "%s: %s is relative, and starts at %s\n", config.Show(f.path), f.key, start)
		}
	}
	rest, given := mayUseGiven(loaded, a, uses)
	if given != nil && !loaded.Source.Reload {
		return given
	}
	if err := a.become(); err != nil {
		return fmt.Errorf("cannot check with the rights of %s: %w; call check-config as that user", a.name, err)
	}
	if err := atStart(loaded, given, stdout); err != nil { // root does not look where others may plant something
		return err
	}
	if err := mayRead(loaded, a); err != nil {
		return err
	}
	for _, f := range rest {
		if err := a.mayUse(f); err != nil {
			if err := atStart(loaded, refused(loaded, a, f, err), stdout); err != nil {
				return err
			}
		}
	}
	if err := statefile.Newer(loaded.Config.State.File); err != nil {
		if err := atStart(loaded, fmt.Errorf("%s: %w", loaded.Origin(config.StateFileKey), err), stdout); err != nil {
			return err
		}
	}
	if socket := loaded.Config.Feed.Socket; len(socket) > longestSocket {
		fmt.Fprintf(stdout, "%s: feed has %d bytes, and the path of a socket at most %d (unix(7)); so nobody can listen to the monitor\n", config.Show(socket), len(socket), longestSocket)
	}
	for _, f := range uses {
		if unitDirectory(f.path) == "" {
			fmt.Fprintf(stdout, "%s: not in a directory of the unit; whether the unit allows it (ReadWritePaths=, see service-monitor(5)) is not checked\n", config.Show(f.path))
		}
	}
	return nil
}

// atStart returns an error with which only a start would fail. A reload does not open the files again that a monitor
// has in use. So for a reload, errors about these are only printed. Otherwise no new list of services would be
// taken while the flash is read-only.
func atStart(loaded config.Loaded, err error, stdout io.Writer) error {
	c := loaded.Config
	if err == nil || !loaded.Source.Reload || !files.Held(c.Log.File) || !files.Held(c.State.File) {
		return err
	}
	fmt.Fprintf(stdout, "a reload does not need this, but a start would fail: %v\n", err)
	return nil
}

// mayUseGiven checks the files that are in directories of the unit: the unit gives these to
// its user before the start. It must run before the process gives up its rights. It returns
// the files that have to be checked in another way.
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

// mayRead makes sure that the account may read the configuration file. So far only the caller
// has read it.
func mayRead(loaded config.Loaded, a account) error {
	err := unix.Access(loaded.Source.File, unix.R_OK)
	if err == nil || !loaded.Found && errors.Is(err, unix.ENOENT) {
		return nil
	}
	return refusal{config.ErrConfig, fmt.Sprintf("%s cannot read the configuration file %s: %v; "+
		"let everybody read it (chmod a+r), and enter its directories (chmod a+x)", a.name, config.Show(loaded.Source.File), err)}
}

// unitDirectories lists the directories that the unit makes at each start. It makes its user
// the owner of them and of all that is in them (StateDirectory=, LogsDirectory=,
// tmpfiles.conf).
var unitDirectories = []string{filepath.Dir(config.DefaultLogFile), filepath.Dir(config.DefaultStateFile)}

// unitDirectory returns the directory of the unit that contains a file; empty if none does.
func unitDirectory(path string) string {
	for _, dir := range unitDirectories {
		if strings.HasPrefix(path, dir+"/") {
			return dir
		}
	}
	return ""
}
