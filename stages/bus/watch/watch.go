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

// pathRules is the number of units up to which each has a match rule of its
// own. Measured: beyond it, the bus daemon spends more on the rules than one
// rule for all units of the system costs it.
const pathRules = 32

// longest is as long as the name of a unit can be (systemd.unit(5)).
const longest = 255

// Shutdown is the unit by which everything else is stopped when the machine is to
// go down (systemd.special(7)). Its changes are always watched.
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

// A Set is the units that are monitored. The link reads it from
// another goroutine, so it is replaced and never changed.
type Set struct {
	List  []string // names and globs, as configured
	Globs []string // those of the list
	// units are by name: object paths of thousands would be as long again. A unit that is
	// monitored by an alias has two: its changes come from the path of its own name.
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

// With returns the watch with more units.
func (w *Set) With(units ...string) *Set {
	more := &Set{w.List, w.Globs, maps.Clone(w.units)}
	for _, unit := range units {
		more.units[unit] = unit
	}
	return more
}

// Aliased returns the watch with changes of name taken for those of unit, and those of no
// other name but its own.
func (w *Set) Aliased(unit, name string) *Set {
	more := w.With()
	maps.DeleteFunc(more.units, func(n, u string) bool { return u == unit && n != unit })
	more.units[name] = unit
	return more
}

// Alias returns the name of systemd's by which a unit is watched that is monitored by an
// alias; empty where it is monitored by its own.
func (w *Set) Alias(unit string) string {
	for name, u := range w.units {
		if u == unit && name != unit {
			return name
		}
	}
	return ""
}

// Without returns the watch without some units.
func (w *Set) Without(units ...string) *Set {
	gone := make(map[string]bool, len(units))
	for _, unit := range units {
		gone[unit] = true
	}
	less := w.With()
	maps.DeleteFunc(less.units, func(_, u string) bool { return gone[u] })
	return less
}

// Pattern returns the glob by which alone a unit is monitored; empty where the list names
// the unit itself.
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

// Keeping returns the watch with what another one knows of the units that match it.
func (w *Set) Keeping(old *Set) *Set {
	next := w.With()
	for name, unit := range old.units {
		if Match(w.List, unit) {
			next.units[name] = unit
		}
	}
	return next
}

// Unit returns the monitored unit of an object path. A unit that matches a
// glob is found here before it is in the set.
func (w *Set) Unit(objectPath []byte) (string, bool) {
	var room [longest]byte // on the stack: every signal of a storm is looked up
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
		// After a daemon-reload, units may be there that were not, and the other way
		// round. UnitNew and UnitRemoved would say so for every unit of the system.
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

// Known returns the unit whose changes those of a name are taken for, as far as
// the set already holds it.
func (w *Set) Known(name string) (string, bool) {
	unit, ok := w.units[name]
	return unit, ok
}

// Named returns the unit that is monitored by or as a name of systemd's.
func (w *Set) Named(name string) (string, bool) {
	unit, ok := w.named([]byte(name))
	return unit, ok && unit != Shutdown
}

const digits = "0123456789abcdef"

// Escape returns the object path of a unit, as systemd's bus_path_escape makes
// it: every byte but letters and digits (a leading digit too) becomes _xx.
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

// plain reports whether the byte at i of a name stands for itself.
func plain(c byte, i int) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && '0' <= c && c <= '9'
}

// unescape appends the name of which Escape makes the path to b; false where the path
// is not a unit's. Every other byte of an object path that is valid stands for itself.
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

// digit is the value of a hexadecimal digit as systemd writes it, 255 of another byte.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
