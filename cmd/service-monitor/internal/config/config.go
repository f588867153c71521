// Package config turns the command line and the configuration file into one
// validated value, and what is wrong with them into one line that names the
// file, the key and the remedy.
package config

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The exit codes of the monitor. Those above 1 have their meaning from
// sysexits(3), so that systemd shows them by name (systemd.exec(5), "Process
// Exit Codes").
const (
	ExitOK          = 0  // stopped as asked
	ExitFailure     = 1  // a stage failed
	ExitUsage       = 64 // EX_USAGE: bad command line
	ExitDataErr     = 65 // EX_DATAERR: a state file that was to be checked is not good
	ExitNoInput     = 66 // EX_NOINPUT: it is not there, or cannot be read
	ExitUnavailable = 69 // EX_UNAVAILABLE: no system bus
	ExitCantCreate  = 73 // EX_CANTCREAT: log or state file cannot be created or written
	ExitTempFail    = 75 // EX_TEMPFAIL: another monitor holds the files
	ExitConfig      = 78 // EX_CONFIG: bad configuration, or a state file of a newer version
)

// What errors of this package are, for errors.Is.
var (
	ErrUsage  = errors.New("bad command line")  // to exit with ExitUsage
	ErrConfig = errors.New("bad configuration") // to exit with ExitConfig
)

// Limits of the values, both ends included.
const (
	maxDuration = 365 * 24 * time.Hour
	maxRetries  = 1_000_000
	// maxFoldAfter is a thousand lines a second: as good as no folding.
	maxFoldAfter = 60_000
	// maxUnit is the length of the longest unit name (systemd.unit(5)).
	maxUnit = 255
)

// Config is everything about the monitor that can be chosen.
type Config struct {
	// Services are the names and globs (path.Match) of the units to monitor: at
	// least one, none twice, each ending in ".service". Default: the twelve
	// services of the gateway.
	Services []string
	// LogFile is an absolute path. Default: DefaultLogFile.
	LogFile string
	// StateFile is an absolute path. Default: DefaultStateFile.
	StateFile string
	// StatsInterval is the time between summary lines; 0 means none. In the file
	// in seconds. Default: 60 s.
	StatsInterval time.Duration
	// FoldAfter is how many lines of one kind are logged in a minute before the
	// others are folded into one; 0 means that each is logged. Default: 10.
	FoldAfter int
	// MaxRetries is how often to try again to reach the system bus at start; 0
	// means one attempt only. Default: 3.
	MaxRetries int
	// Debug adds debug messages to the log. Default: false.
	Debug bool
	// SaveQuiet is how long the counters must be unchanged before they are saved;
	// above 0. In the file in milliseconds. Default: 1000 ms.
	SaveQuiet time.Duration
	// SaveDeadline is how long after the first unsaved change they are saved
	// anyway; never below SaveQuiet. In the file in milliseconds. Default: 10000 ms.
	SaveDeadline time.Duration
	// AuditInterval is the time between two checks that systemd still announces
	// what happens; 0 means none. In the file in seconds. Default: 300 s.
	AuditInterval time.Duration
}

// The files that are used if no others are named.
const (
	DefaultFile      = "/etc/service-monitor/config.json"
	DefaultLogFile   = "/var/log/service-monitor/service-monitor.log"
	DefaultStateFile = "/var/lib/service_monitor/service_states.json"
)

// Default is the configuration of a monitor with no flags and no file.
func Default() Config {
	return Config{
		Services: []string{
			"wirepas-gateway.service",
			"wirepas-sink-ttys1.service",
			"wirepas-sink-ttys2.service",
			"edger.connecteddev.service",
			"edger.endries.service",
			"devmgmt.service",
			"hwcheck.service",
			"provisioning.service",
			"Node-Configuration.service",
			"setup_cell_connect.service",
			"mosquitto.service",
			"wps_button_monitor.service",
		},
		LogFile:       DefaultLogFile,
		StateFile:     DefaultStateFile,
		StatsInterval: time.Minute,
		FoldAfter:     10,
		MaxRetries:    3,
		SaveQuiet:     time.Second,
		SaveDeadline:  10 * time.Second,
		AuditInterval: 5 * time.Minute,
	}
}

// A problem is an error of one of the two kinds. The kind is not in its text,
// which is one line for a person.
type problem struct {
	kind error
	text string
}

func (p problem) Error() string { return p.text }

func (p problem) Is(target error) bool { return target == p.kind }

// checkUnits returns what is wrong with a list of names and globs.
func checkUnits(entries []string) (index int, err error) {
	seen := make(map[string]bool, len(entries))
	for i, entry := range entries {
		if err := checkUnit(entry); err != nil {
			return i, err
		}
		if seen[entry] {
			return i, fmt.Errorf("%s is in the list twice; remove one", quote(entry))
		}
		seen[entry] = true
	}
	return 0, nil
}

func checkUnit(entry string) error {
	fault := unitFault(entry)
	if fault == "" {
		return nil
	}
	better := repair(entry)
	if better != entry && unitFault(better) == "" {
		return fmt.Errorf("%s %s; did you mean %s?", quote(entry), fault, quote(better))
	}
	return fmt.Errorf("%s %s", quote(entry), fault)
}

// unitTypes are those that are not services (systemd.unit(5)).
var unitTypes = []string{
	".automount", ".device", ".mount", ".path", ".scope", ".slice", ".socket", ".swap", ".target", ".timer",
}

// unitFault says what is wrong with a name or a glob, by the rules of
// systemd.unit(5) and of unit_name_is_valid in systemd; empty if nothing is.
//
// A glob must end in .service to the letter: "foo*" would bring the sockets and
// timers of that name along.
func unitFault(entry string) string {
	stem, service := strings.CutSuffix(entry, ".service")
	char := charFault(entry)
	switch {
	case entry == "":
		return `is empty; name a unit such as "mosquitto.service"`
	case len(entry) > maxUnit:
		return fmt.Sprintf("is %d characters long; a unit name has at most %d", len(entry), maxUnit)
	case char != "":
		return char
	case slices.Contains(unitTypes, path.Ext(entry)):
		return "is not a service; name units that end in .service"
	case !service:
		return "does not end in .service"
	case stem == "" || stem[0] == '@':
		return "has no name before " + entry[:1]
	case strings.HasSuffix(stem, "@"):
		return "is a template, of which only instances run"
	default:
		return globFault(entry)
	}
}

// charFault says which character of an entry does not belong there.
func charFault(entry string) string {
	wild := "*?"
	if strings.Contains(entry, "[") {
		wild = "*?[]^"
	}
	for _, r := range entry {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case strings.ContainsRune(`:_.\@-`+wild, r):
		case isSeparator(r) && areSeveral(entry):
			return fmt.Sprintf("has the character %q, which no unit name has; make each unit an entry of its own", r)
		default:
			return fmt.Sprintf("has the character %q, which no unit name has", r)
		}
	}
	return ""
}

func isSeparator(r rune) bool { return strings.ContainsRune(", ;", r) }

// globFault says what is wrong with a glob. A backslash is refused in it because
// path.Match takes it for an escape, and systemd does not (FNM_NOESCAPE).
func globFault(entry string) string {
	if !isGlob(entry) {
		return ""
	}
	if strings.Contains(entry, `\`) {
		return "is a pattern with a backslash, for which ? stands"
	}
	if _, err := path.Match(entry, ""); err != nil {
		return "is not a well-formed pattern; close each [ with a ], with something in between"
	}
	return ""
}

// absolute returns the absolute path of a file. A relative one starts at a
// directory, or where that is empty at the working directory. Its errors go on from
// the name of a flag or a key.
func absolute(file, start string) (string, error) {
	switch {
	case file == "":
		return "", errors.New("is empty; name a file")
	case strings.ContainsRune(file, 0):
		return "", fmt.Errorf("%s has a NUL character, which no file name has", quote(file))
	case slices.Contains([]string{"", ".", ".."}, file[strings.LastIndex(file, "/")+1:]):
		return "", fmt.Errorf("%s is a directory; name a file in it", quote(file))
	}
	if start != "" && !filepath.IsAbs(file) {
		file = filepath.Join(start, file)
	}
	full, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("%s is relative, and the working directory is not known (%w); name the file in full", quote(file), err)
	}
	return full, nil
}

// quote makes one short, printable word of anything. The result can be pasted
// into JSON, and between the double quotes of a shell.
func quote(s string) string {
	const longest = 80
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return strconv.Quote(s)
}

// show is quote for the names of files, without quotes where it can be.
func show(file string) string {
	if quoted := strconv.Quote(file); quoted != `"`+file+`"` || strings.Contains(file, " ") {
		return quoted
	}
	return file
}

// nearest returns the known word that was probably meant; empty if none is near.
// Of two that are as near it is the one as long as the word: "check-stat" has
// "check" in it, too.
func nearest(word string, known []string) string {
	word = fold(word)
	best, least := "", 2+len(word)/3
	unlike := func(candidate string) int { return max(len(candidate)-len(word), len(word)-len(candidate)) }
	for _, candidate := range known {
		d := distance(word, fold(candidate))
		if d < least || d == least && best != "" && unlike(candidate) < unlike(best) {
			best, least = candidate, d
		}
	}
	return best
}

func fold(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }

// distance is the Levenshtein distance. A part of a word is one step away from
// it: "services" is near "monitored_services".
func distance(a, b string) int {
	if a != b && min(len(a), len(b)) > 2 && (strings.Contains(a, b) || strings.Contains(b, a)) {
		return 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal, row[j+1] = row[j+1], min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
