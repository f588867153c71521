// Package watch knows which units are monitored: by name, by glob, by alias.
package watch

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"service-monitor/stages/bus/link"
)

// unitPath is where systemd keeps the objects of its units
// (org.freedesktop.systemd1(5), "Unit Objects").
const unitPath = "/org/freedesktop/systemd1/unit/"

// pathRules is up to how many units each unit has a match rule of its own. It was measured: with
// more rules, the bus daemon spends more on them than on one rule for all units of the system.
const pathRules = 32

// longest is the length of the longest possible unit name (systemd.unit(5)).
const longest = 255

// Shutdown is the unit that stops everything else when the machine goes down
// (systemd.special(7)). Its changes are always watched.
const Shutdown = "shutdown.target"

// IsGlob reports whether an entry of the list of services is a pattern
// (glob(7)) and not the name of one unit.
func IsGlob(entry string) bool { return strings.ContainsAny(entry, "*?[") }

// Match reports whether a unit name is in a list of names and patterns.
func Match(list []string, unit string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if !IsGlob(entry) {
			return entry == unit
		}
		ok, err := path.Match(entry, unit)
		return ok && err == nil
	})
}

// A Set is the units that are monitored. The link reads it from another goroutine, so a Set
// never changes: it is replaced by another one.
type Set struct {
	List  []string // names and globs, as configured
	Globs []string // those of the list
	// units maps a name to the unit that is monitored by it. A unit that is monitored by an
	// alias has two names here: its changes come from the path of its own name. Names are kept,
	// and not object paths, because thousands of paths would take as much memory again.
	units map[string]string
}

// New returns the set of a list of names and globs.
func New(list []string) *Set {
	w := &Set{List: list, units: make(map[string]string)}
	for _, entry := range list {
		if IsGlob(entry) {
			w.Globs = append(w.Globs, entry)
		} else {
			w.units[entry] = entry
		}
	}
	return w
}

// With returns the set with more units.
func (w *Set) With(units ...string) *Set {
	more := &Set{w.List, w.Globs, maps.Clone(w.units)}
	for _, unit := range units {
		more.units[unit] = unit
	}
	return more
}

// Aliased returns the set in which unit is an alias of name, and of no other name: changes of
// name are then changes of unit.
func (w *Set) Aliased(unit, name string) *Set {
	more := w.With()
	maps.DeleteFunc(more.units, func(n, u string) bool { return u == unit && n != unit })
	more.units[name] = unit
	return more
}

// Alias returns the unit's own name if the unit is monitored by an alias. Otherwise it is empty.
func (w *Set) Alias(unit string) string {
	for name, u := range w.units {
		if u == unit && name != unit {
			return name
		}
	}
	return ""
}

// Without returns the set without some units.
func (w *Set) Without(units ...string) *Set {
	gone := make(map[string]bool, len(units))
	for _, unit := range units {
		gone[unit] = true
	}
	less := w.With()
	maps.DeleteFunc(less.units, func(_, u string) bool { return gone[u] })
	return less
}

// Pattern returns the glob that names a unit. It is empty if the list names the unit itself.
func (w *Set) Pattern(unit string) string {
	if slices.Contains(w.List, unit) {
		return ""
	}
	for _, glob := range w.Globs {
		if Match([]string{glob}, unit) {
			return glob
		}
	}
	return ""
}

// Keeping returns the set with what another set knows about units that match this one.
func (w *Set) Keeping(old *Set) *Set {
	next := w.With()
	for name, unit := range old.units {
		if Match(w.List, unit) {
			next.units[name] = unit
		}
	}
	return next
}

// Unit returns the monitored unit of an object path. It also finds a unit that matches a glob
// and is not in the set yet.
func (w *Set) Unit(objectPath []byte) (string, bool) {
	var room [longest]byte // on the stack, because every signal of a storm is looked up
	name, ok := unescape(room[:0], objectPath)
	if !ok {
		return "", false
	}
	return w.named(name)
}

func (w *Set) named(name []byte) (string, bool) {
	if unit, ok := w.units[string(name)]; ok {
		return unit, true
	}
	if string(name) == Shutdown {
		return Shutdown, true
	}
	if len(w.Globs) == 0 {
		return "", false
	}
	unit := string(name)
	return unit, Match(w.Globs, unit)
}

// Names returns the names of all units, in order.
func (w *Set) Names() []string { return slices.Compact(slices.Sorted(maps.Values(w.units))) }

// Rules are the match rules that bring every change of the watched units.
func (w *Set) Rules() []string {
	const changes = "type='signal',sender='" + link.Systemd + "',interface='" + link.Properties + "',member='PropertiesChanged',"
	rules := []string{
		// A daemon-reload may add and remove units. UnitNew and UnitRemoved would say so, too,
		// but for every unit of the system.
		"type='signal',sender='" + link.Systemd + "',interface='" + link.ManagerInterface + "',member='Reloading',path='" + link.ManagerPath + "'",
	}
	if len(w.Globs) > 0 || len(w.units) > pathRules {
		return append(rules, changes+"path_namespace='"+strings.TrimSuffix(unitPath, "/")+"'")
	}
	for _, name := range append(slices.Sorted(maps.Keys(w.units)), Shutdown) {
		rules = append(rules, changes+"path='"+Escape(name)+"'")
	}
	return rules
}

// Known returns the unit that is monitored by a name, if the set has it already.
func (w *Set) Known(name string) (string, bool) {
	unit, ok := w.units[name]
	return unit, ok
}

// Named returns the unit that is monitored by a name, or that a glob of the set matches.
func (w *Set) Named(name string) (string, bool) {
	unit, ok := w.named([]byte(name))
	return unit, ok && unit != Shutdown
}

const digits = "0123456789abcdef"

// Escape returns the object path of a unit, as bus_path_escape of systemd makes it: every byte
// that is no letter or digit becomes _xx, and so does a leading digit.
func Escape(unit string) string {
	b := []byte(unitPath)
	for i := range len(unit) {
		if c := unit[i]; plain(c, i) {
			b = append(b, c)
		} else {
			b = append(b, '_', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// plain reports whether the byte at i of a name is not escaped.
func plain(c byte, i int) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && '0' <= c && c <= '9'
}

// unescape appends to b the name that Escape turns into the path. It reports false if the path
// is not that of a unit.
func unescape(b, objectPath []byte) ([]byte, bool) {
	name, ok := bytes.CutPrefix(objectPath, []byte(unitPath))
	if !ok || len(name) == 0 {
		return nil, false
	}
	for {
		i := bytes.IndexByte(name, '_')
		if i < 0 {
			return append(b, name...), true
		}
		b, name = append(b, name[:i]...), name[i+1:]
		if len(name) < 2 {
			return nil, false
		}
		high, low := digit(name[0]), digit(name[1])
		c := high<<4 | low
		if high > 15 || low > 15 || plain(c, len(b)) {
			return nil, false
		}
		b, name = append(b, c), name[2:]
	}
}

// digit returns the value of a hexadecimal digit as systemd writes it, and 255 for another byte.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
