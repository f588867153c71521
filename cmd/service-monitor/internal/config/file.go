package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"service-monitor/stages/files"
)

// maxFile is the size of the largest configuration file, in bytes.
const maxFile = 1 << 20

// mark is the byte order mark of UTF-8, with which some editors begin a file.
const mark = "\xef\xbb\xbf"

// keys are the keys of the file that are used, as the help shows them.
var keys = []struct{ name, text string }{
	{"monitored_services", "names and globs (default: the services of the gateway)"},
	{"log_file", "as --log-file"},
	{"persistence_file", "as --persistence-file"},
	{"stats_interval", "seconds between summary lines, 0 for none (default 60)"},
	{"max_retries", "more attempts at the system bus at start (default 3)"},
	{"debug", "as --debug: true or false (default false)"},
	{"save_quiet", "ms without change before the state is saved (default 1000)"},
	{"save_deadline", "ms from first change to latest save (default 10000)"},
	{"audit_interval", "seconds between audits of the bus, 0: none (default 300)"},
	{"fold_after", "like lines a minute before folding, 0: none (default 10)"},
}

// read returns the base with the values of a file put over it. After an error the
// result has all values that could be read.
func read(file string, base Config) (c Config, s source, err error) {
	data, err := load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return base, source{}, nil
	}
	if err != nil {
		return base, source{found: true}, problem{ErrConfig, fmt.Sprintf("cannot read the configuration file %s: %v; "+
			"correct that, or name another file with --config", show(file), err)}
	}
	c, values, err := decode(data, base)
	if err != nil {
		err = problem{ErrConfig, show(file) + ":" + err.Error()}
	}
	return c, source{true, values}, err
}

func load(file string) ([]byte, error) {
	// Whoever names the file answers for where its links lead.
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	f, err := files.Open(file, os.O_RDONLY, 0) // not a named pipe, which would hang
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, which is named already
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

// A fault is an error in a line of the file; in none if line is 0.
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

// decode puts the values of a document over the base, and also returns them as they
// are written. It goes on after an error, for the sake of the help, and returns the
// first.
func decode(data []byte, base Config) (Config, map[string]value, error) {
	data = bytes.TrimPrefix(data, []byte(mark))
	c, first := base, checkDocument(data)
	values := make(map[string]value)
	for _, v := range members(data) {
		if isComment(v.key) {
			continue
		}
		next := c
		err := v.once(values)
		if err == nil {
			err = v.set(&next)
		}
		if err == nil {
			c = next
		} else if first == nil {
			first = err
		}
	}
	if first == nil && c.SaveDeadline < c.SaveQuiet {
		first = fault{text: fmt.Sprintf("save_deadline (%d ms) is less than save_quiet (%d ms); raise the one or lower the other",
			c.SaveDeadline.Milliseconds(), c.SaveQuiet.Milliseconds())}
	}
	return c, values, first
}

// checkDocument returns what is wrong with the text, before any key is looked at.
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
		return fault{1, "the file must hold one object { … }, found " + describe(text)}
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

// syntaxRemedies are tried in this order. The texts are those of encoding/json.
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
	offset int // where it ends in the document
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

// once returns an error if the key is one of those that were there before.
func (v value) once(values map[string]value) error {
	if first, ok := values[v.key]; ok {
		return v.errorf("the key %s is there twice, first in line %d; remove one", quote(v.key), first.line)
	}
	values[v.key] = v
	return nil
}

func (v value) set(c *Config) (err error) {
	if isUnused(v.key) { // and may be anything
		return nil
	}
	switch v.key {
	case "monitored_services":
		c.Services, err = v.units()
	case "log_file":
		c.LogFile, err = v.file(DefaultLogFile)
	case "persistence_file":
		c.StateFile, err = v.file(DefaultStateFile)
	case "stats_interval":
		c.StatsInterval, err = v.duration(0, time.Second, "seconds")
	case "max_retries":
		c.MaxRetries, err = v.count(maxRetries)
	case "debug":
		c.Debug, err = v.boolean()
	case "save_quiet":
		c.SaveQuiet, err = v.duration(1, time.Millisecond, "milliseconds")
	case "save_deadline":
		c.SaveDeadline, err = v.duration(1, time.Millisecond, "milliseconds")
	case "audit_interval":
		c.AuditInterval, err = v.duration(0, time.Second, "seconds")
	case "fold_after":
		c.FoldAfter, err = v.count(maxFoldAfter)
	default:
		err = v.unknown()
	}
	return err
}

func (v value) unknown() error {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.name
	}
	if name := nearest(v.key, names); name != "" {
		return v.errorf("unknown key %s; did you mean %q?", quote(v.key), name)
	}
	return v.errorf("unknown key %s; the keys are %s", quote(v.key), strings.Join(names, ", "))
}

func (v value) units() ([]string, error) {
	var entries []json.RawMessage
	if v.raw[0] != '[' || json.Unmarshal(v.raw, &entries) != nil {
		return nil, v.wrong(`a list of unit names such as ["mosquitto.service"]`)
	}
	if len(entries) == 0 {
		return nil, v.errorf("%s is empty; name at least one unit, or remove the key for the default services", v.key)
	}
	units := make([]string, len(entries))
	for i, raw := range entries {
		if raw[0] != '"' || json.Unmarshal(raw, &units[i]) != nil {
			entry := value{key: fmt.Sprintf("%s entry %d", v.key, i+1), line: v.entryLine(i), raw: raw}
			return nil, entry.wrong(`a unit name such as "mosquitto.service"`)
		}
	}
	if i, err := checkUnits(units); err != nil {
		return nil, fault{v.entryLine(i), fmt.Sprintf("%s entry %d: %v", v.key, i+1, err)}
	}
	return units, nil
}

// entryLine is the line in which an entry of a list ends.
func (v value) entryLine(index int) int {
	d := json.NewDecoder(bytes.NewReader(v.raw))
	_, _ = d.Token() // no error here and below: the list was decoded before
	var entry json.RawMessage
	for range index + 1 {
		_ = d.Decode(&entry)
	}
	return v.line - 1 + lineAt(v.raw, int(d.InputOffset()))
}

// file returns the path of a file. A relative one starts at the directory of the
// default file: the unit lets the monitor write there, and the working directory is
// another one for each who starts or checks it.
func (v value) file(byDefault string) (string, error) {
	var file string
	if v.raw[0] != '"' || json.Unmarshal(v.raw, &file) != nil {
		return "", v.wrong(fmt.Sprintf("a file name such as %q", byDefault))
	}
	full, err := absolute(file, filepath.Dir(byDefault))
	if err != nil {
		return "", v.errorf("%s %v", v.key, err)
	}
	return full, nil
}

func (v value) boolean() (bool, error) {
	switch string(v.raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, v.wrong("true or false without quotes")
}

func (v value) duration(least int64, unit time.Duration, units string) (time.Duration, error) {
	n, err := v.integer(least, int64(maxDuration/unit), units)
	return time.Duration(n) * unit, err
}

func (v value) count(most int64) (int, error) {
	n, err := v.integer(0, most, "")
	return int(n), err
}

// integer returns a whole number. The units, if any, are only for the messages.
func (v value) integer(least, most int64, units string) (int64, error) {
	what, limit := "a whole number", strconv.FormatInt(most, 10)
	if units != "" {
		what, limit = what+" of "+units, limit+" "+units
	}
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	switch {
	case v.raw[0] == '"':
		return 0, v.wrong(what + " without quotes")
	case errors.Is(err, strconv.ErrSyntax):
		return 0, v.wrong(what)
	case err != nil || n < least || n > most:
		return 0, v.errorf("%s must be from %d to %s, found %s", v.key, least, limit, describe(v.raw))
	}
	return n, nil
}

func (v value) wrong(want string) error {
	return v.errorf("%s must be %s, found %s", v.key, want, describe(v.raw))
}

func (v value) errorf(format string, args ...any) error {
	return fault{v.line, fmt.Sprintf(format, args...)}
}

// describe says what a value is, in the words of JSON.
func describe(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f', 'n':
		return string(raw)
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // the document was decoded before
		return "the string " + quote(s)
	}
	if len(raw) > 40 {
		return fmt.Sprintf("a number of %d characters", len(raw))
	}
	return "the number " + string(raw)
}
