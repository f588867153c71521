package fakejournal

import (
	"encoding/json"
	"slices"
	"strings"

	"service-monitor/stages/journald/records"
)

// find returns the entries that journalctl shows: those from this number up to the first mark.
// It also returns whether more entries may follow. It does not filter by message.
func (j *Journal) find(args []string, from int) (text string, next int, more bool) {
	cursor, marked, boot, last, unfound := records.Place(""), "", "", false, false
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "--cursor":
			cursor = records.Place(value)
		case "--lines":
			last = true
		case "--since":
			unfound = j.ClockSet
		case "MONITOR_MARK":
			marked = a
		case "_BOOT_ID":
			boot = value
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	if unfound {
		return "", len(j.entries), false
	}
	var found strings.Builder
	for i := from; i < len(j.entries); i++ {
		e := j.entries[i]
		if cursor != "" && precedes(e.place, cursor) || boot != "" && e.boot != boot || !strings.Contains(e.text, marked) {
			continue
		}
		if last {
			found.Reset()
		}
		found.WriteString(e.text)
		if !last && e.place != cursor && strings.Contains(e.text, Mark) {
			return found.String(), i + 1, true
		}
	}
	return found.String(), len(j.entries), false
}

// precedes reports whether an entry comes before a cursor. A cursor without a number is found by the clock of its
// boot, if there are entries of that.
func precedes(entry, cursor records.Place) bool {
	if strings.Contains(string(cursor), "i=") || entry.Boot() != cursor.Boot() {
		return entry.Before(cursor)
	}
	_, at := entry.Made()
	_, from := cursor.Made()
	return at < from
}

// filter returns the entries with these fields, each as an object in JSON. The fields are in groups
// with a + between them, of which an entry has at least one.
func (j *Journal) filter(args []string) string {
	groups := [][]string{nil}
	for _, a := range args {
		switch {
		case a == "+":
			groups = append(groups, nil)
		case !strings.HasPrefix(a, "--"):
			groups[len(groups)-1] = append(groups[len(groups)-1], a)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	var found strings.Builder
	for _, e := range j.entries {
		lines := strings.Split(strings.TrimSpace(e.text), "\n")
		lacks := func(field string) bool { return !slices.Contains(lines, field) }
		if !slices.ContainsFunc(groups, func(group []string) bool { return !slices.ContainsFunc(group, lacks) }) {
			continue
		}
		fields := make(map[string]string)
		for _, line := range lines {
			key, value, _ := strings.Cut(line, "=")
			fields[key] = value
		}
		_ = json.NewEncoder(&found).Encode(fields) // a map of strings can be encoded
	}
	return found.String()
}
