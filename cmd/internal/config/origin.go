package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"service-monitor/stages/row"
)

// unusedKeys are keys of the Python monitor that this monitor does not use, as the help shows
// them. They are accepted, so that a file of that monitor works as it is.
const unusedKeys = "poll_interval, prometheus_*"

// isUnused reports whether a key is one of the unusedKeys. Every key that begins with
// "prometheus_" and goes on in lower case is one, because versions of the Python monitor differ.
func isUnused(key string) bool {
	rest, ok := strings.CutPrefix(key, "prometheus_")
	return key == "poll_interval" || ok && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// isComment reports whether a key is a comment.
func isComment(key string) bool {
	return strings.HasPrefix(key, "_") || strings.HasPrefix(key, "//")
}

// A source is the content of the configuration file.
type source struct {
	found  bool             // the file exists
	values map[string]value // its values by key, without comments
}

// unused returns the keys that are not used, in the order of the file.
func (s source) unused() []string {
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(s.values)), func(key string) bool { return !isUnused(key) })
	slices.SortFunc(keys, func(a, b string) int { return s.values[a].offset - s.values[b].offset })
	return keys
}

// These keys name files.
const (
	LogFileKey   = "log_file"
	StateFileKey = "persistence_file"
)

// Origin returns who set the path of a file: an option, a line of the configuration file, or the
// default. An error message begins with it.
func (l Loaded) Origin(key string) string {
	r, _ := find(l.Config.rows(), key)
	v, inFile := l.values[key]
	switch {
	case l.Source.overridden(r.Flag):
		return "--" + r.Flag
	case inFile:
		return fmt.Sprintf("%s:%d: %s", show(l.Source.File), v.line, key)
	}
	return "the default " + key
}

// StartsAt returns the directory in which a relative path of the configuration file starts. It is
// empty if the path is absolute, or if an option or the default set it.
func (l Loaded) StartsAt(key string) string {
	r, _ := find(l.Config.rows(), key)
	file, isFile := r.Value.(row.File)
	v, inFile := l.values[key]
	var written string
	if !isFile || !inFile || l.Source.overridden(r.Flag) || json.Unmarshal(v.raw, &written) != nil || filepath.IsAbs(written) {
		return ""
	}
	return file.Start()
}

// Show returns the name of a file as a printable word, in quotes if necessary.
func Show(file string) string { return show(file) }
