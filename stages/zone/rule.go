package zone

import (
	"strconv"
	"strings"
	"time"
)

// rule returns the zone of a rule in TZ, such as CET-1CEST,M3.5.0,M10.5.0/3 (tzset(3)). It
// returns nil if the text is not a rule.
//
// Go has no function for this, but it follows the rule at the end of a zone file
// (tzfile(5)). So Go gets a file with little more than the rule. The file also has a zone
// without a name. Go uses that zone if it does not understand the rule.
func rule(text string) *time.Location {
	if !named(text) {
		return nil
	}
	location, err := time.LoadLocationFromTZData("Local", file(text))
	if err != nil {
		return nil
	}
	if name, _ := time.Unix(0, 0).In(location).Zone(); name == "" {
		return nil
	}
	return location
}

// file returns a zone file of version 2 with a rule at its end.
func file(rule string) []byte {
	const (
		header = "TZif2" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		none   = "\x00\x00\x00\x00"
		one    = "\x00\x00\x00\x01"
		// Each block begins with six counts: indicators of UTC and of standard time,
		// leap seconds, transitions, zones, and characters of the zones' names.
		old  = header + none + none + none + none + none + none // the block of version 1, which is empty
		this = header + none + none + none + none + one + one
		zone = none + "\x00" + "\x00" // offset 0, no summer time, and the index of its name
		name = "\x00"
	)
	return []byte(old + this + zone + name + "\n" + rule + "\n")
}

// named reports whether a rule begins with names and offsets as tzset(3) allows them.
// Go allows more: to Go, Foo/Bar3 is a zone named Foo/Bar.
func named(rule string) bool {
	rest, ok := cutOffset(cutName(rule))
	if !ok || rest == "" {
		return ok
	}
	rest, ok = cutName(rest)
	if ok && rest != "" && rest[0] != ',' {
		rest, ok = cutOffset(rest, true)
	}
	return ok && (rest == "" || rest[0] == ',')
}

// cutName cuts off a zone's name. It has three letters or more. Between < and > it may also
// have digits and signs.
func cutName(s string) (rest string, ok bool) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if quoted, isQuoted := strings.CutPrefix(s, "<"); isQuoted {
		rest = strings.TrimLeft(quoted, letters+"0123456789+-")
		name := len(quoted) - len(rest)
		rest, ok = strings.CutPrefix(rest, ">")
		return rest, ok && name >= 3
	}
	rest = strings.TrimLeft(s, letters)
	return rest, len(s)-len(rest) >= 3
}

// cutOffset cuts off an offset, which comes after a name: [+-]hh[:mm[:ss]].
func cutOffset(s string, ok bool) (rest string, isOffset bool) {
	rest = strings.TrimLeft(s, "+-0123456789:")
	hours, _, _ := strings.Cut(strings.TrimLeft(s[:len(s)-len(rest)], "+-"), ":")
	n, err := strconv.Atoi(hours)
	return rest, ok && err == nil && n <= 24
}
