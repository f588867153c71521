// Package watch knows which units are monitored: by name, by glob, by alias.
package watch

import (
	"encoding/hex"
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

// Shutdown is the unit by which everything else is stopped when the machine is to
// go down (systemd.special(7)). Its changes are always watched.
const Shutdown = "shutdown.target"

var shutdownPath = Escape(Shutdown)

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
	// units are by object path. A unit that is monitored by an alias has two:
	// its changes come from the path of its own name.
	units map[string]string
}

// New returns the set of a list of names and globs.
func New(list []string) *Set {
	w := &Set{List: list, units: make(map[string]string)}
	for _, entry := range list {
		if IsGlob(entry) {
			w.Globs = append(w.Globs, entry)
		} else {
			w.units[Escape(entry)] = entry
		}
	}
	return w
}

// With returns the watch with more units.
func (w *Set) With(units ...string) *Set {
	more := &Set{w.List, w.Globs, maps.Clone(w.units)}
	for _, unit := range units {
		more.units[Escape(unit)] = unit
	}
	return more
}

// Aliased returns the watch with changes of name taken for those of unit.
func (w *Set) Aliased(unit, name string) *Set {
	more := w.With()
	more.units[Escape(name)] = unit
	return more
}

// Without returns the watch without a unit.
func (w *Set) Without(unit string) *Set {
	less := w.With()
	maps.DeleteFunc(less.units, func(_, u string) bool { return u == unit })
	return less
}

// Relisted returns the watch of another list, with what is known of the units
// that match it.
func (w *Set) Relisted(list []string) *Set {
	next := New(list)
	for objectPath, unit := range w.units {
		if Match(list, unit) {
			next.units[objectPath] = unit
		}
	}
	return next
}

// Unit returns the monitored unit of an object path. A unit that matches a
// glob is found here before it is in the set.
func (w *Set) Unit(objectPath []byte) (string, bool) {
	if unit, ok := w.units[string(objectPath)]; ok {
		return unit, true
	}
	if string(objectPath) == shutdownPath {
		return Shutdown, true
	}
	if len(w.Globs) == 0 {
		return "", false
	}
	unit, ok := unescape(string(objectPath))
	return unit, ok && Match(w.Globs, unit)
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
	for _, objectPath := range append(slices.Sorted(maps.Keys(w.units)), shutdownPath) {
		rules = append(rules, changes+"path='"+objectPath+"'")
	}
	return rules
}

// Known returns the unit whose changes those of a name are taken for, as far as
// the set already holds it.
func (w *Set) Known(name string) (string, bool) {
	unit, ok := w.units[Escape(name)]
	return unit, ok
}

// Named returns the unit that is monitored by or as a name of systemd's.
func (w *Set) Named(name string) (string, bool) {
	unit, ok := w.Unit([]byte(Escape(name)))
	return unit, ok && unit != Shutdown
}

// Escape returns the object path of a unit, as systemd's bus_path_escape makes
// it: every byte but letters and digits (a leading digit too) becomes _xx.
func Escape(unit string) string {
	const digits = "0123456789abcdef"
	b := []byte(unitPath)
	for i := range len(unit) {
		c := unit[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if letter || i > 0 && '0' <= c && c <= '9' {
			b = append(b, c)
		} else {
			b = append(b, '_', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// unescape is the inverse of Escape; false where the path is not a unit's.
func unescape(objectPath string) (string, bool) {
	name, ok := strings.CutPrefix(objectPath, unitPath)
	if !ok || name == "" {
		return "", false
	}
	var b []byte
	for i := 0; i < len(name); i++ {
		if name[i] != '_' {
			b = append(b, name[i])
			continue
		}
		if i+3 > len(name) {
			return "", false
		}
		c, err := hex.DecodeString(name[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b = append(b, c[0])
		i += 2
	}
	return string(b), true
}
