package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"service-monitor/stages/row"
)

// gateway lists the services that are monitored unless the user names other ones.
var gateway = []string{
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
}

// maxUnit is the length of the longest unit name (systemd.unit(5)).
const maxUnit = 255

// A serviceList is the value of the key that lists the units to monitor.
type serviceList struct{ target *[]string }

func (u serviceList) Kind() string        { return "a list of strings" }
func (u serviceList) MeasuredIn() string  { return "" }
func (u serviceList) DefaultText() string { return "the twelve services of the gateway" }
func (u serviceList) Reset()              { *u.target = slices.Clone(gateway) }
func (u serviceList) Get() any            { return *u.target }

// An entryFault is an error in an entry of a list.
type entryFault struct {
	end  int // the end of the entry in the list
	text string
}

func (f entryFault) Error() string { return f.text }

func (u serviceList) Set(raw []byte) error {
	var entries []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &entries) != nil {
		return row.Wrong(`a list of unit names such as ["mosquitto.service"]`, raw)
	}
	if len(entries) == 0 {
		return errors.New("is empty; name at least one unit, or remove the key for the default services")
	}
	units := make([]string, len(entries))
	for i, entry := range entries {
		if entry[0] != '"' || json.Unmarshal(entry, &units[i]) != nil {
			wrong := row.Wrong(`a unit name such as "mosquitto.service"`, entry)
			return entryFault{entryEnd(raw, i), fmt.Sprintf("entry %d %v", i+1, wrong)}
		}
	}
	if i, err := CheckUnits(units); err != nil {
		return entryFault{entryEnd(raw, i), fmt.Sprintf("entry %d: %v", i+1, err)}
	}
	*u.target = units
	return nil
}

// entryEnd returns where an entry of a list ends.
func entryEnd(list []byte, index int) int {
	d := json.NewDecoder(bytes.NewReader(list))
	_, _ = d.Token() // no errors here and below, because the list was decoded before
	var entry json.RawMessage
	for range index + 1 {
		_ = d.Decode(&entry)
	}
	return int(d.InputOffset())
}

// Full returns the full name of a service whose suffix may be left out. The name itself may have dots.
func Full(name string) string {
	ext := path.Ext(name)
	if name == "" || strings.EqualFold(ext, ".service") || slices.Contains(unitTypes, ext) {
		return name
	}
	return name + ".service"
}

// CheckUnits returns what is wrong with a list of names and globs.
func CheckUnits(entries []string) (index int, err error) {
	seen := make(map[string]bool, len(entries))
	for i, entry := range entries {
		if err := checkUnit(entry); err != nil {
			return i, err
		}
		if seen[entry] {
			return i, fmt.Errorf("%s is in the list twice; remove one", row.Quote(entry))
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
		return fmt.Errorf("%s %s; did you mean %s?", row.Quote(entry), fault, row.Quote(better))
	}
	return fmt.Errorf("%s %s", row.Quote(entry), fault)
}

// unitTypes lists the types of units other than services (systemd.unit(5)).
var unitTypes = []string{
	".automount", ".device", ".mount", ".path", ".scope", ".slice", ".socket", ".swap", ".target", ".timer",
}

// unitFault returns what is wrong with a name or a glob, by the rules of systemd.unit(5) and of
// unit_name_is_valid in systemd. It returns an empty string if nothing is wrong.
//
// A glob must end in .service, because "foo*" would also match sockets and timers.
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

// charFault returns which character of an entry is not allowed.
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

// globFault returns what is wrong with a glob. A backslash is not allowed in it: for path.Match
// it escapes the next character, but for systemd it does not (FNM_NOESCAPE).
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
