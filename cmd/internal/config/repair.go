package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// repair returns what was probably meant by a bad entry.
func repair(entry string) string {
	if slices.Contains(unitTypes, path.Ext(entry)) || areSeveral(entry) {
		return entry
	}
	entry = strings.TrimSpace(entry)
	before, _, _ := strings.Cut(entry, "@")
	if strings.HasPrefix(entry, "/") { // the path of a unit file
		before = entry
	}
	entry = entry[strings.LastIndex(before, "/")+1:]
	if prefix, instance, ok := strings.Cut(entry, "@"); ok {
		return repairInstance(prefix, instance)
	}
	return repairGlob(stem(entry)) + ".service"
}

// stem returns an entry without .service, which may be in any case.
func stem(entry string) string {
	if strings.EqualFold(path.Ext(entry), ".service") {
		return strings.TrimSuffix(entry, path.Ext(entry))
	}
	return entry
}

func isGlob(entry string) bool { return strings.ContainsAny(entry, "*?[") }

// repairGlob rewrites a glob in the syntax of path.Match.
func repairGlob(entry string) string {
	if isGlob(entry) {
		entry = strings.NewReplacer(`\`, "?", "[!", "[^").Replace(entry)
	}
	return entry
}

// repairInstance joins the parts before and after the first @ to a name. It escapes an instance
// that no unit can have.
func repairInstance(prefix, instance string) string {
	instance = stem(instance)
	switch {
	case instance == "":
		instance = "*" // a template stands for all its instances
	case len(instance) <= maxUnit && charFault(repairGlob(instance)) != "":
		instance = escape(instance)
	}
	return repairGlob(prefix+"@"+instance) + ".service"
}

// areSeveral reports whether an entry consists of several units. Blanks alone do not show it,
// because the name of one instance may contain some.
func areSeveral(entry string) bool {
	entry = strings.TrimSpace(entry)
	at, blank := strings.IndexByte(entry, '@'), strings.IndexByte(entry, ' ')
	instance := 0 < at && at < blank && !strings.ContainsAny(entry, ",;") &&
		strings.Count(entry, ".service") == 1 && strings.HasSuffix(entry, ".service")
	return !instance && len(strings.FieldsFunc(entry, isSeparator)) > 1
}

// kept matches the parts of an instance that are escaped already, and wildcards.
var kept = regexp.MustCompile(`^(?:\\x[0-9a-f]{2}|[*?]|\[[^]]*\])`)

// escape escapes a string for an instance as systemd-escape(1) does. It leaves the parts that
// kept matches.
func escape(instance string) string {
	var b strings.Builder
	for len(instance) > 0 {
		char, whole := instance[0], 1
		if at := kept.FindStringIndex(instance); at != nil {
			whole = at[1]
		}
		switch {
		case whole > 1 || char == '*' || char == '?':
			b.WriteString(instance[:whole])
		case char == '/':
			b.WriteByte('-')
		case mustEscape(char) || char == '.' && b.Len() == 0:
			fmt.Fprintf(&b, `\x%02x`, char)
		default:
			b.WriteByte(char)
		}
		instance = instance[whole:]
	}
	return b.String()
}

func mustEscape(char byte) bool {
	return !('a' <= char && char <= 'z' || 'A' <= char && char <= 'Z' || '0' <= char && char <= '9' || strings.IndexByte(":_.", char) >= 0)
}
