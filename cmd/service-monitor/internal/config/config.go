// Package config turns the command line and the configuration file into one
// validated value, and what is wrong with them into one line that names the
// file, the key and the remedy.
package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"service-monitor/stages/bus"
	"service-monitor/stages/logsink"
	"service-monitor/stages/persist"
	"service-monitor/stages/row"
)

// What errors of this package are, for errors.Is.
var (
	ErrUsage  = errors.New("bad command line")
	ErrConfig = errors.New("bad configuration")
)

// Config is everything about the monitor that can be chosen. Nothing changes one that
// was read: a reload makes a new one.
type Config struct {
	// Services are the names and globs (path.Match) of the units to monitor: at
	// least one, none twice, each ending in ".service".
	Services []string
	// Debug adds debug messages to the log.
	Debug bool
	Log   logsink.Settings
	State persist.Settings
	Bus   bus.Settings
}

// The files that are used if no others are named.
const (
	DefaultFile      = "/etc/service-monitor/config.json"
	DefaultLogFile   = logsink.DefaultFile
	DefaultStateFile = persist.DefaultFile
)

// rows are all keys, in the order of the help. Their values go to c.
func (c *Config) rows() []row.Row {
	return slices.Concat(
		[]row.Row{
			{Key: "monitored_services", Flag: "services", Help: "names and globs", Reload: true, Value: serviceList{&c.Services}},
			{Key: "debug", Flag: "debug", Help: "true or false", Reload: true, Value: row.Bool{Target: &c.Debug}},
		},
		c.Log.Rows(), c.State.Rows(), c.Bus.Rows())
}

// Default is the configuration of a monitor with no flags and no file.
func Default() Config {
	var c Config
	for _, r := range c.rows() {
		r.Value.Reset()
	}
	return c
}

// NeedRestart names the keys that differ from those of the monitor that runs, and
// that a reload does not take.
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

// WriteKeys writes what the help has of the keys.
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

// find returns the row of a key.
func find(rows []row.Row, key string) (r row.Row, known bool) {
	i := slices.IndexFunc(rows, func(r row.Row) bool { return r.Key == key })
	if i < 0 {
		return row.Row{}, false
	}
	return rows[i], true
}

// A problem is an error of one of the two kinds. The kind is not in its text,
// which is one line for a person.
type problem struct {
	kind error
	text string
}

// Misuse makes an error of the command line.
func Misuse(format string, args ...any) error { return problemf(ErrUsage, format, args...) }

func (p problem) Error() string { return p.text }

func (p problem) Is(target error) bool { return target == p.kind }

// show is row.Quote for the names of files, without quotes where it can be.
func show(file string) string {
	if quoted := strconv.Quote(file); quoted != `"`+file+`"` || strings.Contains(file, " ") {
		return quoted
	}
	return file
}
