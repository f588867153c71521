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

// unusedKeys are the keys of the Python monitor for which this one has no use, as
// the help shows them. A file of that monitor is taken as it is.
const unusedKeys = "poll_interval, prometheus_*"

// isUnused takes all of "prometheus_", so that it does not matter which version of
// the Python monitor wrote the file.
func isUnused(key string) bool {
	rest, ok := strings.CutPrefix(key, "prometheus_")
	return key == "poll_interval" || ok && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// isComment reports whether a key is there for people alone.
func isComment(key string) bool {
	return strings.HasPrefix(key, "_") || strings.HasPrefix(key, "//")
}

// A source is the file of which a configuration was made.
type source struct {
	found  bool             // there is such a file
	values map[string]value // what it has, by key, without comments
}

// unused returns the keys that are not used, in the order of the file.
func (s source) unused() []string {
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(s.values)), func(key string) bool { return !isUnused(key) })
	slices.SortFunc(keys, func(a, b string) int { return s.values[a].offset - s.values[b].offset })
	return keys
}

// The keys of files.
const (
	LogFileKey   = "log_file"
	StateFileKey = "persistence_file"
)

// Origin says where the path of a file was named, for the beginning of a message.
func (l Loaded) Origin(key string) string {
	r, _ := find(l.Config.rows(), key)
	v, inFile := l.values[key]
	switch {
	case l.Source.overrides(r.Flag):
		return "--" + r.Flag
	case inFile:
		return fmt.Sprintf("%s:%d: %s", show(l.Source.File), v.line, key)
	}
	return "the default " + key
}

// StartsAt is the directory at which the path of a file starts that is relative in
// the configuration; empty if it is not.
func (l Loaded) StartsAt(key string) string {
	r, _ := find(l.Config.rows(), key)
	file, isFile := r.Value.(row.File)
	v, inFile := l.values[key]
	var written string
	if !isFile || !inFile || l.Source.overrides(r.Flag) || json.Unmarshal(v.raw, &written) != nil || filepath.IsAbs(written) {
		return ""
	}
	return file.Start()
}

// Show returns the name of a file as one printable word, in quotes if it needs them.
func Show(file string) string { return show(file) }
