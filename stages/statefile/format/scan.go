package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"unicode/utf8"
)

// A scanner walks through JSON that may be damaged or written by hand. It only finds out
// where strings and values end. encoding/json decides whether they are valid.
type scanner struct {
	text []byte
	at   int
}

// A member is a member of a JSON object, as it is written. It is whole if its end was found.
type member struct {
	text, key, value []byte
	whole            bool
}

var errNotUTF8 = errors.New("not UTF-8")

// name returns the key as a Go string.
func (m member) name() (name string, err error) {
	if !utf8.Valid(m.key) {
		return "", errNotUTF8
	}
	err = json.Unmarshal(m.key, &name)
	return name, err
}

// members calls f with each member of the object in text. There may be too many commas or
// too few. It returns the rest after the object, and whether the object's end was found.
func members(text []byte, f func(member)) (rest []byte, ok bool) {
	s := &scanner{text: text}
	if !s.skip("{") {
		return text, false
	}
	for {
		s.blanks(",")
		if s.skip("}") {
			return s.rest(), true
		}
		m, rest := s.member()
		if len(m.key) > 0 && len(m.value) > 0 {
			f(m)
		}
		if !m.whole {
			return rest, false
		}
	}
}

// member reads a key and its value, and returns the rest after them.
func (s *scanner) member() (m member, rest []byte) {
	s.blanks(",")
	from := s.at
	var key, value bool
	if m.key, key = s.str(); key && s.skip(":") {
		s.blanks("")
		m.value, value = s.value()
	}
	m.text, m.whole = s.text[from:s.at], value
	return m, s.rest()
}

func (s *scanner) rest() []byte { return s.text[s.at:] }

// next returns the next byte; 0 at the end.
func (s *scanner) next() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// blanks skips white space and the bytes in others.
func (s *scanner) blanks(others string) {
	for s.at < len(s.text) && bytes.IndexByte([]byte(" \t\r\n"+others), s.text[s.at]) >= 0 {
		s.at++
	}
}

// skip skips white space, and then b if that is the next byte.
func (s *scanner) skip(b string) bool {
	s.blanks("")
	if s.next() != b[0] {
		return false
	}
	s.at++
	return true
}

// str reads a string with its quotes. JSON has no control characters inside of strings, so
// a string without its closing quote ends with the line.
func (s *scanner) str() (text []byte, ok bool) {
	from := s.at
	if s.next() != '"' {
		return nil, false
	}
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from:s.at], true
		case c < ' ':
			return s.text[from:s.at], false
		case c == '\\' && s.at+1 < len(s.text):
			s.at++
		}
	}
	return s.text[from:], false
}

// value reads a value. A number at the end of the text may have been longer, so it is not ok.
func (s *scanner) value() (text []byte, ok bool) {
	switch s.next() {
	case '"':
		return s.str()
	case '{', '[':
		return s.nested()
	}
	from := s.at
	for s.at < len(s.text) && bytes.IndexByte([]byte(",}] \t\r\n"), s.text[s.at]) < 0 {
		s.at++
	}
	return s.text[from:s.at], from < s.at && s.at < len(s.text)
}

// nested reads an object or a list with all that is in it.
func (s *scanner) nested() (text []byte, ok bool) {
	from, depth := s.at, 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			if _, ok := s.str(); !ok {
				return s.text[from:s.at], false
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return s.text[from:s.at], true
		}
	}
	return s.text[from:], false
}

// unitKey matches the beginning of a unit's record. No key inside of a record is the name of
// a service.
var unitKey = regexp.MustCompile(`"(?:[^"\\\x00-\x1f]|\\.)*\.service"\s*:\s*\{`)

// salvage splits a text that is no JSON object. It calls first with the text before the
// first unit. Then it calls unit for each unit, with the text up to the next unit.
// A letter in the name of a unit may have become a quote. The lead is the part of the name
// that the text then lacks.
func salvage(text []byte, first func([]byte), unit func(lead, text []byte)) {
	type part struct{ lead, text []byte }
	starts := unitKey.FindAllIndex(text, -1)
	parts, to := []part(nil), len(text)
	for i := len(starts) - 1; i >= 0; i-- {
		lead := leadOf(text[:starts[i][0]])
		parts = append(parts, part{lead, text[starts[i][0]:to]})
		to = starts[i][0] - len(lead)
	}
	first(text[:to])
	for _, p := range slices.Backward(parts) {
		unit(p.lead, p.text)
	}
}

// leadOf returns what stands before a name on its line, beginning with a quote.
func leadOf(text []byte) []byte {
	line := text[bytes.LastIndexAny(text, "\n{},")+1:]
	quote := bytes.IndexByte(line, '"')
	if quote < 0 {
		return nil
	}
	return line[quote:]
}

// blank reports whether a text has only characters that may stand between members.
func blank(text []byte) bool { return len(bytes.Trim(text, " \t\r\n,}")) == 0 }
