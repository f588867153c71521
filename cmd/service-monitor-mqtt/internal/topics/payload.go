package topics

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// largest is how many bytes a payload may have. With its topic it stays below 128 KB, which is the most that
// AWS IoT Core takes.
const largest = 127 << 10

// encode returns a value as JSON. Bytes that are not valid UTF-8 become U+FFFD. It knows no error, for no type
// of this package has anything that JSON cannot tell.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("topics: " + err.Error())
	}
	return text
}

// payload returns a value as JSON that is not too large. Nothing that systemd tells is that long, but names
// and texts come from units that anybody may have written.
func payload(v any) []byte {
	text := encode(v)
	for most := 4096; len(text) > largest; most /= 2 {
		text = encode(cut(decode(text), most))
	}
	return text
}

// decode returns what JSON means. It is for JSON of encode. Numbers stay as they are written.
func decode(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic("topics: " + err.Error())
	}
	return v
}

// cut returns a value whose strings have at most so many bytes, and whose lists at most so many elements.
func cut(v any, most int) any {
	switch v := v.(type) {
	case string:
		if len(v) <= most {
			return v
		}
		for most > 0 && !utf8.RuneStart(v[most]) {
			most--
		}
		return v[:most] + "…"
	case []any:
		v = v[:min(len(v), most)]
		for i := range v {
			v[i] = cut(v[i], most)
		}
		return v
	case map[string]any:
		for key := range v {
			v[key] = cut(v[key], most)
		}
	}
	return v
}
