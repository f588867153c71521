package config

import (
	"os"
	"path/filepath"
	"slices"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

// A use is what a file is for.
type use struct {
	name, path string
	beside     func(path, other string) bool // whether another name is that of a file beside it
}

// checkFiles makes sure that no file is written over, or cleared, as another. It looks at
// where links lead, because the monitor goes there.
func (l Loaded) checkFiles() error {
	kind, where := ErrConfig, show(l.Source.File)+": "
	if slices.ContainsFunc([]string{"log-file", "persistence-file", "feed"}, l.Source.overridden) {
		kind, where = ErrUsage, ""
	}
	alone := func(string, string) bool { return false }
	uses := []use{
		{"log file", l.Config.Log.File, isLock},
		{"persistence file", l.Config.State.File, statefile.Beside},
		{"configuration file", l.Source.File, alone},
		{"feed", l.Config.Feed.Socket, alone}, // in a place of the others it would keep them away
	}
	history := chronicle.Beside(l.Config.State.File)
	for i, a := range uses {
		for j, b := range uses {
			switch {
			case i < j && isOne(a.path, b.path):
				return problemf(kind, "%s%s and %s are both %s; give each a file of its own", where, a.name, b.name, show(a.path))
			case i == j && isIn(a.path, history):
				return problemf(kind, "%s%s %s has a name that the monitor uses for its history, which it keeps in %s; choose another name",
					where, a.name, show(a.path), show(history))
			case i != j && a.takes(b):
				return problemf(kind, "%s%s %s has a name that the monitor uses for what it keeps beside the %s %s; choose another name",
					where, b.name, show(b.path), a.name, show(a.path))
			}
		}
	}
	return nil
}

func isLock(path, other string) bool { return other == path+files.LockSuffix }

func (u use) takes(other use) bool { return u.beside(leadsTo(u.path), leadsTo(other.path)) }

// isIn reports whether a path is that of a directory, or of anything below it. If the directory is a link, somebody has
// chosen where it leads, and may keep other files there as well.
func isIn(path, dir string) bool {
	if _, err := os.Readlink(dir); err == nil {
		return isOne(path, dir)
	}
	for at := leadsTo(path); ; at = filepath.Dir(at) {
		if isOne(at, dir) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// isOne reports whether two names are of one file, there or not yet.
func isOne(a, b string) bool {
	if a == b || leadsTo(a) == leadsTo(b) {
		return true
	}
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// leadsTo is a path without the symbolic links that can be followed. What is there need
// not exist.
func leadsTo(path string) string {
	for range 40 { // the kernel follows no more (path_resolution(7))
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(dir, filepath.Base(path))
		}
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}
