package topics

import (
	"fmt"
	"strings"
)

const (
	// mostSlashes is how many slashes a topic may have: more than that AWS IoT Core does not take.
	mostSlashes = 7
	// suffix is what most units end in. The name of a service in a scheme goes without it.
	suffix = ".service"
)

// topic returns the topic with these levels. They are right for themselves: see level and checkLevel.
func topic(levels ...string) string {
	t := strings.Join(levels, "/")
	if strings.Count(t, "/") > mostSlashes {
		panic("topics: too many slashes in " + t)
	}
	return t
}

// level returns a name as one level of a topic. The names that systemd gives to units stay as they are. Other
// bytes become %XX, so that neither a slash nor a wildcard of another name changes what the topic means, and
// so that two names never become the same.
func level(name string) string {
	if name == "" {
		return "%"
	}
	return escaped(name, '%', `:-_.\@`)
}

// escaped returns a name in which each byte that is no letter, no digit and none of others is written in
// hexadecimal after a mark.
func escaped(name string, mark byte, others string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', strings.IndexByte(others, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%c%02x", mark, c)
		}
	}
	return b.String()
}

// short returns the name of a service without its suffix, and whether it has one.
func short(unit string) (name string, service bool) {
	name, service = strings.CutSuffix(unit, suffix)
	if name == "" {
		return unit, false
	}
	return name, service
}
