package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"service-monitor/stages/files"
	"service-monitor/stages/row"
)

// maxFile is the size of the largest configuration file, in bytes.
const maxFile = 1 << 20

// mark is the byte order mark of UTF-8. Some editors write it at the beginning of a file.
const mark = "\xef\xbb\xbf"

// read returns base with the values of a file in place of its own. After an error the result
// has all values that could be read.
func read(file string, base Config, own *Companion) (c Config, s source, err error) {
	data, err := load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return base, source{}, nil
	}
	if err != nil {
		return base, source{found: true}, problem{ErrConfig, fmt.Sprintf("cannot read the configuration file %s: %v; "+
			"correct that, or name another file with --config", show(file), err)}
	}
	c, values, err := decode(data, base, own)
	if err != nil {
		err = problem{ErrConfig, show(file) + ":" + err.Error()}
	}
	return c, source{true, values}, err
}

func load(file string) ([]byte, error) {
	// Follow links without a check: whoever names the file is responsible for that.
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	f, err := files.Open(file, os.O_RDONLY, 0) // not a named pipe, which would hang
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, because the caller adds it
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, pathError.Err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return data, err
}

// A fault is an error in a line of the file. If line is 0, it belongs to no single line.
type fault struct {
	line int
	text string
}

func (f fault) Error() string {
	if f.line == 0 {
		return " " + f.text
	}
	return fmt.Sprintf("%d: %s", f.line, f.text)
}

// decode returns base with the values of a document in place of its own, and the values as they
// are written. It goes on after an error, because the help shows all that could be read. It
// returns the first error.
func decode(data []byte, base Config, own *Companion) (Config, map[string]value, error) {
	c := base
	values, err := decodeRows(data, slices.Concat(c.rows(), own.rows()))
	if together := cmp.Or(c.State.Check(), c.History.Check(), own.check()); err == nil && together != nil {
		err = fault{text: together.Error()}
	}
	return c, values, err
}

// decodeRows does the work of decode for these rows.
func decodeRows(data []byte, rows []row.Row) (map[string]value, error) {
	data = bytes.TrimPrefix(data, []byte(mark))
	first := checkDocument(data)
	values := make(map[string]value)
	for _, v := range members(data) {
		if isComment(v.key) || isCompanions(v.key, rows) {
			continue
		}
		err := v.once(values)
		if err == nil {
			err = v.set(rows)
		}
		if first == nil {
			first = err
		}
	}
	return values, first
}

// checkDocument returns what is wrong with the text as a whole. It does not look at the keys.
func checkDocument(data []byte) error {
	wide := bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff"))
	text := bytes.TrimSpace(data)
	switch nul := bytes.IndexByte(data, 0); {
	case wide:
		return fault{1, "the file begins with the byte order mark of UTF-16; save it as UTF-8"}
	case nul >= 0:
		return fault{lineAt(data, nul), "there is a NUL byte; save the file as plain UTF-8 text"}
	case !utf8.Valid(data):
		return fault{lineAt(data, badUTF8(data)), "there are bytes that are not UTF-8; save the file as UTF-8 text"}
	case len(text) == 0:
		return fault{1, "the file is empty; write {} for the defaults, or remove it"}
	}
	if err := checkSyntax(data); err != nil {
		return err
	}
	if text[0] != '{' {
		return fault{1, "the file must hold one object { … }, found " + row.Describe(text)}
	}
	return nil
}

func badUTF8(data []byte) int {
	i := 0
	for i < len(data) {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
}

func checkSyntax(data []byte) error {
	var document json.RawMessage
	err := json.Unmarshal(data, &document)
	if err == nil {
		return nil
	}
	at := len(data) - 1
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = min(at, max(0, int(syntax.Offset)-1))
	}
	return fault{lineAt(data, at), fmt.Sprintf("%v; %s", err, syntaxRemedy(data[at], err.Error()))}
}

// syntaxRemedies says what to do about errors of encoding/json. The first that fits is taken.
var syntaxRemedies = []struct{ chars, text, remedy string }{
	{"", "unexpected end", "a quote, a ] or a } is missing"},
	{"", "in string escape", `write a backslash twice, \\`},
	{"", "in string literal", "close the string with a quote on its own line"},
	{"/#", "", `comments are not supported; write "_comment": "…", or remove this one`},
	{"'", "", `write " in its place`},
	{"}]", "looking for beginning", "remove the comma before it"},
	{"", "after object key:value pair", "a comma or a } is missing before it"},
	{"", "after array element", "a comma or a ] is missing before it"},
	{"", "after object key", "a colon is missing before it"},
	{"", "after top-level value", "remove what follows the object"},
	{"", "object key string", "write keys in double quotes"},
	{"", "", "values are strings in double quotes, numbers, true, false and lists"},
}

func syntaxRemedy(char byte, text string) string {
	for _, r := range syntaxRemedies {
		if strings.Contains(text, r.text) && (r.chars == "" || strings.IndexByte(r.chars, char) >= 0) {
			return r.remedy
		}
	}
	return ""
}

func lineAt(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

// A value is one member of the document.
type value struct {
	key    string
	line   int
	raw    []byte
	offset int // the end of the value in the document
}

// members returns the members of the document, up to the first syntax error.
func members(data []byte) []value {
	var all []value
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	for d.More() {
		name, _ := d.Token()
		key, ok := name.(string)
		var raw json.RawMessage
		if !ok || d.Decode(&raw) != nil {
			break
		}
		end := int(d.InputOffset())
		all = append(all, value{key, lineAt(data, end-len(raw)), raw, end})
	}
	return all
}

// once returns an error if the document had the key before.
func (v value) once(values map[string]value) error {
	if first, ok := values[v.key]; ok {
		return v.errorf("the key %s is there twice, first in line %d; remove one", row.Quote(v.key), first.line)
	}
	values[v.key] = v
	return nil
}

// set passes the value to the row of its key.
func (v value) set(rows []row.Row) error {
	if isUnused(v.key) { // any value is accepted
		return nil
	}
	r, known := find(rows, v.key)
	if !known {
		return v.unknown(rows)
	}
	err := r.Value.Set(v.raw)
	if err == nil {
		return nil
	}
	line := v.line
	if entry, ok := errors.AsType[entryFault](err); ok {
		line += lineAt(v.raw, entry.end) - 1
	}
	return fault{line, v.key + " " + err.Error()}
}

func (v value) unknown(rows []row.Row) error {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Key
	}
	if name := Nearest(v.key, names); name != "" {
		return v.errorf("unknown key %s; did you mean %q?", row.Quote(v.key), name)
	}
	return v.errorf("unknown key %s; the keys are %s", row.Quote(v.key), strings.Join(names, ", "))
}

func (v value) errorf(format string, args ...any) error {
	return fault{v.line, fmt.Sprintf(format, args...)}
}
