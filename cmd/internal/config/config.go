// Package config turns the command line and the configuration file into one validated value.
// If they are wrong, it returns an error of one line that names the file and the key and says
// what to do.
package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/bus"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/feed"
	"service-monitor/stages/logsink"
	"service-monitor/stages/persist"
	"service-monitor/stages/row"
)

// The errors of this package are one of these, for errors.Is.
var (
	ErrUsage  = errors.New("bad command line")
	ErrConfig = errors.New("bad configuration")
)

// Config has all settings of the monitor. It does not change after it was read: a reload makes
// a new one.
type Config struct {
	// Services are the names and globs (path.Match) of the units to monitor. There is at
	// least one, and none twice. Each ends in ".service".
	Services []string
	// Debug adds debug messages to the log.
	Debug bool
	Log   logsink.Settings
	State persist.Settings
	Bus   bus.Settings
	// History is the chronicle beside the state file.
	History chronicle.Settings
	// Crashes is what is kept of runs that crashed.
	Crashes blackbox.Settings
	Feed    feed.Settings
}

// These files are used unless the user names other ones.
const (
	DefaultFile      = "/etc/service-monitor/config.json"
	DefaultLogFile   = logsink.DefaultFile
	DefaultStateFile = persist.DefaultFile
	DefaultFeed      = feed.DefaultSocket
)

// rows returns the rows of all keys, in the order of the help. They put their values into c.
func (c *Config) rows() []row.Row {
	return slices.Concat(
		[]row.Row{
			{Key: "monitored_services", Flag: "services", Help: "names and globs", Reload: true, Value: serviceList{&c.Services}},
			{Key: "debug", Flag: "debug", Help: "true or false", Reload: true, Value: row.Bool{Target: &c.Debug}},
		},
		c.Log.Rows(), c.State.Rows(), c.History.Rows(), c.Crashes.Rows(), c.Feed.Rows(), c.Bus.Rows())
}

// Default returns the configuration of a monitor without flags and without a file.
func Default() Config {
	var c Config
	for _, r := range c.rows() {
		r.Value.Reset()
	}
	return c
}

// NeedRestart returns the keys that differ from the running configuration but that a reload
// cannot apply.
func NeedRestart(running, read Config) []string { return needRestart(running.rows(), read.rows()) }

func needRestart(running, read []row.Row) []string {
	var keys []string
	for i, r := range running {
		if !r.Reload && !reflect.DeepEqual(r.Value.Get(), read[i].Value.Get()) {
			keys = append(keys, r.Key)
		}
	}
	return keys
}

// WriteKeys writes the part of the help about the keys.
func WriteKeys(w io.Writer) { writeKeys(w, new(Config).rows()) }

func writeKeys(w io.Writer, rows []row.Row) {
	fmt.Fprint(w, "\nKeys of the configuration file, which is JSON; flags win over it:\n")
	var reloaded []string
	for _, r := range rows {
		fmt.Fprintf(w, "  %-18s  %s\n", r.Key, r.Line())
		if r.Reload {
			reloaded = append(reloaded, r.Key)
		}
	}
	fmt.Fprintf(w, "  %s\n                      of the Python monitor: accepted and not used\n", unusedKeys)
	fmt.Fprint(w, "  _…, //…             comments\n")
	fmt.Fprintf(w, "A reload takes %s; the other keys need a restart.\n", strings.Join(reloaded, " and "))
}

// find returns the row of a key, and whether there is one.
func find(rows []row.Row, key string) (r row.Row, known bool) {
	i := slices.IndexFunc(rows, func(r row.Row) bool { return r.Key == key })
	if i < 0 {
		return row.Row{}, false
	}
	return rows[i], true
}

// A problem is an error of one of the two kinds. Its text is one line for people and does not
// mention the kind.
type problem struct {
	kind error
	text string
}

// Misuse returns an error about the command line.
func Misuse(format string, args ...any) error { return problemf(ErrUsage, format, args...) }

func (p problem) Error() string { return p.text }

func (p problem) Is(target error) bool { return target == p.kind }

// show does the same as row.Quote for the name of a file, but leaves out needless quotes.
func show(file string) string {
	if quoted := strconv.Quote(file); quoted != `"`+file+`"` || strings.Contains(file, " ") {
		return quoted
	}
	return file
}
