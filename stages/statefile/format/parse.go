package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"service-monitor/stages/count"
)

// A Finding describes something in a state file that is not as the monitor would write it.
type Finding struct {
	Unit string // empty if it concerns no single unit
	Text string
	// Lost is true if a value could not be read. Otherwise it is certain what was meant.
	Lost bool
}

// String returns the finding as a line for people.
func (f Finding) String() string {
	if f.Unit == "" {
		return f.Text
	}
	return fmt.Sprintf("%q: %s", f.Unit, f.Text)
}

// Content is what Parse has read from a state file.
type Content struct {
	Units    map[string]*count.Tally
	Doubts   map[string]*Reading // the units whose record is not certain
	Findings []Finding
	Broken   error  // why the text is no JSON object; nil if it is one
	Unnamed  bool   // something may be the record of a unit, but its name cannot be read
	Newer    uint64 // the schema of a newer monitor; 0 if none was found
}

// Lost reports whether any value could not be read.
func (c *Content) Lost() bool {
	return c.Broken != nil || slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Lost })
}

// Known returns the units that have a record. It removes the others from Units.
func (c *Content) Known() map[string]*count.Tally {
	for unit, r := range c.Doubts {
		if r.none {
			delete(c.Units, unit)
		}
	}
	return c.Units
}

// parser builds a Content.
type parser struct {
	Content
	words   words
	compact bytes.Buffer
	plain   map[string]*Reading // units whose record has no right checksum
	mends   int
	// claimed is the highest schema of damaged records, and known is true where a
	// record is certainly of this version. A monitor writes one schema into all records.
	claimed uint64
	known   bool
}

// mostMends is how often a parser looks for a flipped bit, which takes about 50 ms each
// time. If more records are wrong, somebody has edited the file.
const mostMends = 8

// longestMended bounds the text in which the bit is looked for, because that takes the
// square of its length. It is more than a record has.
const longestMended = 4 << 10

// Parse reads the text of a state file. It reads every unit and every value that it can.
func Parse(b []byte) *Content {
	b = bytes.TrimPrefix(b, []byte("\uFEFF")) // the byte order mark, which some editors write
	p := newParser()
	if rest, ok := members(b, p.unit); ok && blankEnd(rest) {
		p.commas(b)
		p.edited()
		return p.content()
	}
	p = newParser()
	p.Broken = unmarshal(b, new(map[string]json.RawMessage))
	if p.Broken == nil {
		p.Broken = errNotUTF8
	}
	salvage(b, p.head, p.part)
	return p.content()
}

// content is what was read. The schema of a damaged record counts only where no other
// record shows that the file is of this version: damage must not keep the monitor from
// starting.
func (p *parser) content() *Content {
	if !p.known {
		p.Newer = max(p.Newer, p.claimed)
	}
	return &p.Content
}

func newParser() *parser {
	return &parser{
		Content: Content{Units: make(map[string]*count.Tally), Doubts: make(map[string]*Reading)},
		words:   make(words), plain: make(map[string]*Reading),
	}
}

func blankEnd(rest []byte) bool { return len(bytes.TrimSpace(rest)) == 0 }

// commas adds a finding for wrong commas. Parse accepts them, but a strict JSON reader such
// as the Python monitor does not.
func (p *parser) commas(b []byte) {
	if len(p.plain) == 0 && len(p.Findings) == 0 {
		return
	}
	if err := unmarshal(b, new(map[string]json.RawMessage)); err != nil {
		p.find("", false, "%v; it is clear what is meant", err)
	}
}

func (p *parser) find(unit string, lost bool, format string, args ...any) {
	p.Findings = append(p.Findings, Finding{unit, fmt.Sprintf(format, args...), lost})
}

// part reads a part of a damaged file. The part begins with the member of a unit, whose
// name may begin in the lead.
func (p *parser) part(lead, text []byte) {
	if len(lead) > 0 {
		if p.mended(slices.Concat(lead, text)) {
			return
		}
		p.scrap(lead)
	}
	m, rest := (&scanner{text: text}).member()
	if (!m.whole || !blank(rest)) && p.mended(text) {
		return
	}
	if blank(rest) {
		m.text = text // all of it, because a damaged member may seem to end too soon
	}
	p.unit(m)
	if r := p.last(m); r != nil {
		r.uncertain = true
		p.Doubts[r.unit] = r
	}
	if m.whole && !blank(rest) {
		p.scrap(rest)
	}
}

// last returns the reading of this member if its record has no right checksum.
func (p *parser) last(m member) *Reading {
	name, _ := m.name()
	return p.plain[name]
}

// head reads the text before the first unit of a damaged file.
func (p *parser) head(text []byte) {
	if text = bytes.TrimPrefix(bytes.TrimSpace(text), []byte("{")); !blank(text) {
		p.scrap(text)
	}
}

// scrap reads text between the units of a damaged file.
func (p *parser) scrap(text []byte) {
	if !p.mended(text) {
		p.Unnamed = true
	}
}

// unit reads a member of the file, which should be a unit.
func (p *parser) unit(m member) {
	name, err := m.name()
	if err == nil && (p.intact(name, m.value) || comment(name, m.value)) {
		return
	}
	if err != nil {
		if !p.mended(m.text) {
			p.Unnamed = true
			p.find("", true, "%s cannot be the name of a service", shown(m.key))
		}
		return
	}
	r := readRecord(name, m)
	if (r.wrong || r.cut || r.none) && p.mended(m.text) {
		return
	}
	p.take(r)
}

// take adds the reading of a unit.
func (p *parser) take(r *Reading) {
	switch {
	case r.Schema <= Schema:
	case r.wrong || r.cut:
		p.claimed = max(p.claimed, r.Schema)
	default:
		p.Newer = max(p.Newer, r.Schema)
	}
	p.Findings = append(p.Findings, r.Findings...)
	p.words.share(&r.record)
	p.put(r.unit, r.tally(r.unit), r)
}

// comment reports whether a member is a comment that somebody wrote, and not a unit. A
// unit's name may begin with an underscore, too. A member with a checksum was a unit.
func comment(name string, value []byte) bool {
	return (strings.HasPrefix(name, "_") || strings.HasPrefix(name, "//")) &&
		!strings.HasSuffix(name, ".service") && !bytes.Contains(value, []byte(`"checksum"`))
}

// intact adds a unit if its record has the right checksum. Only white space may differ from
// what the monitor wrote.
func (p *parser) intact(unit string, value []byte) bool {
	p.compact.Reset()
	if json.Compact(&p.compact, value) != nil || !sealed(unit, p.compact.Bytes()) {
		return false
	}
	var r record
	if json.Unmarshal(p.compact.Bytes(), &r) != nil {
		return false
	}
	if max(r.Starts, r.Stops, r.Crashes, r.Unknown, r.Restarts, r.Folded) > count.MaxCount {
		return false // an earlier version took it from a file that was edited
	}
	if p.known = p.known || r.Schema <= Schema; r.Schema > Schema {
		p.Newer = max(p.Newer, r.Schema)
	}
	p.words.share(&r)
	p.put(unit, r.tally(unit), nil)
	return true
}

// mended adds a unit if a single flipped bit is all that is wrong with its text.
func (p *parser) mended(text []byte) bool {
	if p.mends == mostMends || len(text) > longestMended {
		return false
	}
	p.mends++
	was, ok := mend(text)
	if !ok {
		return false
	}
	m, _ := (&scanner{text: was}).member()
	unit, _ := m.name()
	p.find(unit, true, "one bit has flipped, from %s to %s; the checksum tells what was written, and that is taken (to change it by hand, remove \"checksum\", too)", around(was, text), around(text, was))
	return p.intact(unit, m.value)
}

// around returns the first word of text that differs from the other text.
func around(text, other []byte) string {
	i := 0
	for i < len(text)-1 && text[i] == other[i] {
		i++
	}
	from := bytes.LastIndexAny(text[:i], " \t\r\n,:{") + 1
	to := len(text)
	if n := bytes.IndexAny(text[i:], " \t\r\n,:}"); n > 0 {
		to = i + n
	}
	return fmt.Sprintf("%+q", text[from:max(to, i+1)])
}

// put adds a unit. If the file has the unit twice, the record with the right checksum is
// taken. If that does not decide, the one that has counted more is taken, because counters
// never go down.
func (p *parser) put(unit string, tally *count.Tally, r *Reading) {
	was, twice := p.Units[unit]
	if twice {
		had := p.plain[unit]
		p.find(unit, true, "it is there twice; the record with the right checksum is taken, or else the one that has counted more")
		if (r != nil && had == nil) || (r == nil) == (had == nil) && runs(was) > runs(tally) {
			return
		}
	}
	delete(p.plain, unit)
	delete(p.Doubts, unit)
	p.Units[unit] = tally
	if r != nil {
		p.plain[unit] = r
		if r.doubtful() {
			p.Doubts[unit] = r
		}
	}
}

func runs(t *count.Tally) (n uint64) {
	r := newRecord(t)
	for _, c := range r.counters() {
		n += *c.value
	}
	return n
}

// words holds strings that many records have in common, each once. A journal cursor alone
// has 130 bytes, and mostly all units have the same one.
type words map[string]string

func (w words) share(r *record) {
	w.one(&r.LastState)
	if c := r.LastCrash; c != nil {
		w.one(&c.Result)
		w.one(&c.Boot)
	}
	if l := r.Life; l != nil {
		w.one(&l.ActiveState)
		w.one(&l.SubState)
		w.one((*string)(&l.Cursor))
	}
}

func (w words) one(s *string) {
	if known, ok := w[*s]; ok {
		*s = known
	} else {
		w[*s] = *s
	}
}

// unmarshal decodes an object. Its errors are for people, who may have edited the file.
func unmarshal(b []byte, object any) error {
	err := json.Unmarshal(b, object)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s, not an object", e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:e.Offset], []byte("\n")), err)
	}
	if err == nil && bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return errors.New("null, not an object")
	}
	return err
}
