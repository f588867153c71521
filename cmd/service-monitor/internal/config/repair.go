package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// repair returns what was probably meant by an entry that is refused.
func repair(entry string) string {
	if slices.Contains(unitTypes, path.Ext(entry)) || areSeveral(entry) {
		return entry
	}
	entry = strings.TrimSpace(entry)
	before, _, _ := strings.Cut(entry, "@")
	if strings.HasPrefix(entry, "/") { // the file of a unit
		before = entry
	}
	entry = entry[strings.LastIndex(before, "/")+1:]
	if prefix, instance, ok := strings.Cut(entry, "@"); ok {
		return repairInstance(prefix, instance)
	}
	return repairGlob(stem(entry)) + ".service"
}

// stem is an entry without .service, in whatever letters.
func stem(entry string) string {
	if strings.EqualFold(path.Ext(entry), ".service") {
		return strings.TrimSuffix(entry, path.Ext(entry))
	}
	return entry
}

func isGlob(entry string) bool { return strings.ContainsAny(entry, "*?[") }

// repairGlob writes a glob as path.Match takes it.
func repairGlob(entry string) string {
	if isGlob(entry) {
		entry = strings.NewReplacer(`\`, "?", "[!", "[^").Replace(entry)
	}
	return entry
}

// repairInstance makes a name of what is before and after the first @. An instance
// that no unit can have is escaped.
func repairInstance(prefix, instance string) string {
	instance = stem(instance)
	switch {
	case instance == "":
		instance = "*" // of a template, all instances
	case len(instance) <= maxUnit && charFault(repairGlob(instance)) != "":
		instance = escape(instance)
	}
	return repairGlob(prefix+"@"+instance) + ".service"
}

// areSeveral reports whether an entry has several units in it. Blanks may also be in
// the name of one instance.
func areSeveral(entry string) bool {
	entry = strings.TrimSpace(entry)
	at, blank := strings.IndexByte(entry, '@'), strings.IndexByte(entry, ' ')
	instance := 0 < at && at < blank && !strings.ContainsAny(entry, ",;") &&
		strings.Count(entry, ".service") == 1 && strings.HasSuffix(entry, ".service")
	return !instance && len(strings.FieldsFunc(entry, isSeparator)) > 1
}

// kept are the parts of an instance that are escaped already, or wildcards.
var kept = regexp.MustCompile(`^(?:\\x[0-9a-f]{2}|[*?]|\[[^]]*\])`)

// escape does what systemd-escape(1) does with a string that is to be an instance,
// but for the parts that are to be kept.
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
