package persist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"service-monitor/stages/count"
)

// A Finding is something in a state file that is not as the monitor would write it.
type Finding struct {
	Unit string // may be empty
	Text string
	// Lost is true where something of value could not be read. Otherwise it is certain
	// what was meant.
	Lost bool
}

// String is a line for people.
func (f Finding) String() string {
	if f.Unit == "" {
		return f.Text
	}
	return fmt.Sprintf("%q: %s", f.Unit, f.Text)
}

// content is what is in a state file.
type content struct {
	units    map[string]*count.Tally
	doubts   map[string]*reading // what could be read of units, where that is not certain
	findings []Finding
	broken   error // why the text is no JSON object
	unnamed  bool  // something may be the record of a unit, whose name cannot be read
	newer    uint64
}

// lost reports whether anything of value could not be read.
func (c *content) lost() bool {
	return c.broken != nil || slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Lost })
}

// known are the units of which there is a record.
func (c *content) known() map[string]*count.Tally {
	for unit, r := range c.doubts {
		if r.none {
			delete(c.units, unit)
		}
	}
	return c.units
}

// parser reads a content.
type parser struct {
	content
	words   words
	compact bytes.Buffer
	plain   map[string]*reading // what has no checksum that is right
	mends   int
}

// mostMends bounds how often the bit is looked for that has flipped, which takes some
// 50 ms. More are no bits, but somebody's edits.
const mostMends = 8

// parse reads the text of a state file: every unit and every value that can be read.
func parse(b []byte) *content {
	b = bytes.TrimPrefix(b, []byte("\uFEFF")) // an editor's
	p := newParser()
	if rest, ok := members(b, p.unit); ok && blankEnd(rest) {
		p.commas(b)
		return &p.content
	}
	p = newParser()
	p.broken = unmarshal(b, new(map[string]json.RawMessage))
	if p.broken == nil {
		p.broken = errNotUTF8
	}
	salvage(b, p.head, p.part)
	return &p.content
}

func newParser() *parser {
	return &parser{
		content: content{units: make(map[string]*count.Tally), doubts: make(map[string]*reading)},
		words:   make(words), plain: make(map[string]*reading),
	}
}

func blankEnd(rest []byte) bool { return len(bytes.TrimSpace(rest)) == 0 }

// commas adds what a strict reader would say of a text that could be read: the Python
// monitor is one.
func (p *parser) commas(b []byte) {
	if len(p.plain) == 0 && len(p.findings) == 0 {
		return
	}
	if err := unmarshal(b, new(map[string]json.RawMessage)); err != nil {
		p.find("", false, "%v; it is clear what is meant", err)
	}
}

func (p *parser) find(unit string, lost bool, format string, args ...any) {
	p.findings = append(p.findings, Finding{unit, fmt.Sprintf(format, args...), lost})
}

// part takes a part of a text that is no JSON object, which begins with a member.
func (p *parser) part(text []byte) {
	m, rest := (&scanner{text: text}).member()
	if (!m.whole || !blank(rest)) && p.mended(text) {
		return
	}
	if blank(rest) {
		m.text = text // it may end too soon
	}
	p.unit(m)
	if r := p.last(m); r != nil {
		r.uncertain = true
		p.doubts[r.unit] = r
	}
	if m.whole && !blank(rest) {
		p.scrap(rest)
	}
}

// last is what was read of a member without a checksum that is right.
func (p *parser) last(m member) *reading {
	name, _ := m.name()
	return p.plain[name]
}

// head takes what is before the first unit.
func (p *parser) head(text []byte) {
	if text = bytes.TrimPrefix(bytes.TrimSpace(text), []byte("{")); !blank(text) {
		p.scrap(text)
	}
}

// scrap takes what is between units.
func (p *parser) scrap(text []byte) {
	if !p.mended(text) {
		p.unnamed = true
	}
}

// unit takes a member of the file.
func (p *parser) unit(m member) {
	name, err := m.name()
	if err == nil && (p.intact(name, m.value) || comment(name, m.value)) {
		return
	}
	if err != nil {
		if !p.mended(m.text) {
			p.unnamed = true
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

// take takes what was read of a unit.
func (p *parser) take(r *reading) {
	if r.Schema > schema {
		p.newer = max(p.newer, r.Schema)
	}
	p.findings = append(p.findings, r.findings...)
	p.words.share(&r.record)
	p.put(r.unit, r.tally(r.unit), r)
}

// comment reports whether a member is for people, and no unit. Names of units may
// begin with an underscore, too; and where there is a checksum, it was one.
func comment(name string, value []byte) bool {
	return (strings.HasPrefix(name, "_") || strings.HasPrefix(name, "//")) &&
		!strings.HasSuffix(name, ".service") && !bytes.Contains(value, []byte(`"checksum"`))
}

// intact takes a unit whose record is what was written, but for white space.
func (p *parser) intact(unit string, value []byte) bool {
	p.compact.Reset()
	if json.Compact(&p.compact, value) != nil || !sealed(unit, p.compact.Bytes()) {
		return false
	}
	var r record
	if json.Unmarshal(p.compact.Bytes(), &r) != nil {
		return false
	}
	if r.Schema > schema {
		p.newer = max(p.newer, r.Schema)
	}
	p.words.share(&r)
	p.put(unit, r.tally(unit), nil)
	return true
}

// mended takes a unit of whose text one bit has flipped.
func (p *parser) mended(text []byte) bool {
	if p.mends == mostMends {
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

// around is the word of a text in which it differs from another.
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

// put adds a unit. Where it is there already, the record counts that has a checksum,
// or else the one that has counted more: counters never go down.
func (p *parser) put(unit string, tally *count.Tally, r *reading) {
	was, twice := p.units[unit]
	if twice {
		had := p.plain[unit]
		p.find(unit, true, "it is there twice; the record with the right checksum is taken, or else the one that has counted more")
		if (r != nil && had == nil) || (r == nil) == (had == nil) && runs(was) > runs(tally) {
			return
		}
	}
	delete(p.plain, unit)
	delete(p.doubts, unit)
	p.units[unit] = tally
	if r != nil {
		p.plain[unit] = r
		if r.doubtful() {
			p.doubts[unit] = r
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

// words are strings that many records have in common. Each is kept once: a place
// in the journal alone is 130 bytes, and mostly the same for all units.
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

// unmarshal reads an object. Its errors are for people, who may have edited it.
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
