package topics

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A compactKey is a key of a payload with its short name, and how its value is shortened.
type compactKey struct {
	long, short string
	value       func(any) any // nil if it stays as it is
}

// compactKeys are the keys of all payloads. Two that mean different things never have the same short name, so
// that a consumer needs no more than this table.
var compactKeys = []compactKey{
	{"active_state", "as", nil},
	{"at_least", "al", nil},
	{"blind", "bl", nil},
	{"boot_id", "b", nil},
	{"code", "co", nil},
	{"core_dump_pid", "cd", nonzero},
	{"count", "n", nil},
	{"cpu_nsec", "cpu", nonzero},
	{"crashes", "c", nonzero},
	{"events", "ev", nil},
	{"from", "f", nil},
	{"gave_up", "g", nil},
	{"gave_up_because", "gb", nil},
	{"health", "h", nil},
	{"health_text", "ht", nil},
	{"invocation", "i", nil},
	{"kind", "k", nil},
	{"last_crash", "lc", nil},
	{"lines", "l", nil},
	{"lines_cut", "cut", nonzero},
	{"memory_peak_bytes", "mem", nonzero},
	{"monitor", "m", nil},
	{"monotonic_usec", "mu", nonzero},
	{"needs_attention", "a", nil},
	{"online_since", "on", seconds},
	{"recovered", "rec", nil},
	{"restarts", "r", nonzero},
	{"result", "re", nil},
	{"retrying", "rt", nil},
	{"rule", "ru", nil},
	{"running", "up", nil},
	{"seq", "q", nil},
	{"signal", "si", nil},
	{"since", "sc", seconds},
	{"starts", "s", nonzero},
	{"status", "st", nil},
	{"status_text", "x", nil},
	{"stopped", "sd", seconds},
	{"stops", "p", nonzero},
	{"sub_state", "ss", nil},
	{"text", "tx", nil},
	{"time", "t", seconds},
	{"to", "o", nil},
	{"troubles", "tr", nil},
	{"unit", "u", nil},
	{"units", "us", nil},
	{"unknown", "uk", nonzero},
	{"until", "un", seconds},
	{"untold", "ut", nil},
	{"untrusted", "nt", nil},
	{"version", "v", nil},
	{"watching", "w", nil},
}

// CompactKeys returns the keys of payloads, each with its short name.
func CompactKeys() (pairs [][2]string) {
	for _, k := range compactKeys {
		pairs = append(pairs, [2]string{k.long, k.short})
	}
	return pairs
}

// compact returns what a value is as JSON with short keys. What is false, empty or a count of zero is left out,
// and so is the unit, which is in the topic. Times are seconds since 1970, to the millisecond.
func compact(v any) any {
	short := shorten(decode(encode(v)))
	if object, ok := short.(map[string]any); ok {
		delete(object, "u")
	}
	return short
}

func shorten(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = shorten(v[i])
		}
	case map[string]any:
		object := make(map[string]any, len(v))
		for long, value := range v {
			k := keyOf(long)
			if k.value != nil {
				value = k.value(value)
			}
			if value = shorten(value); !empty(value) {
				object[k.short] = value
			}
		}
		return object
	}
	return v
}

// keyOf returns a key of the table. A key that is not in it keeps its name; a test says that there is none.
func keyOf(long string) compactKey {
	if i, found := slices.BinarySearchFunc(compactKeys, long, func(k compactKey, long string) int { return strings.Compare(k.long, long) }); found {
		return compactKeys[i]
	}
	return compactKey{long, long, nil}
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// nonzero leaves out a zero.
func nonzero(v any) any {
	if v == json.Number("0") {
		return nil
	}
	return v
}

// seconds returns a time as seconds since 1970.
func seconds(v any) any {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return v
	}
	return unix(t)
}

// unix returns a time as a number of seconds since 1970, to the millisecond.
func unix(t time.Time) json.Number {
	return json.Number(strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', -1, 64))
}
