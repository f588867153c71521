package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"
)

const (
	pageSize = 4096
	// head is how many bytes are before each record: two with the length of the record, and four
	// with the CRC-32C of length and record. A length of 0 ends a page.
	head = 6
	// most is how long a text may be. systemd's longest unit name has 255 bytes.
	most = 300
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is returned for a record whose checksum is wrong, or whose content makes no sense.
var errDamaged = errors.New("damaged")

// A page is what encoding and decoding need to know of the earlier records in the same page. A text
// is written once in a page. Further records name it by its number.
type page struct {
	texts []string
	seq   uint64
	time  int64 // µs
	// same has the texts of all pages, so that each takes memory once. It is nil where pages are
	// written.
	same map[string]string
}

// These bits of a record say which fields follow, besides those that each record has. They are in
// the order of fields.
const (
	hasUntil = 1 << iota
	hasMonotonic
	hasBoot
	hasStates
	hasRule
	hasResult
	hasInvocation
	hasDelta
	hasZone
	hasSpans
)

// fields returns the bits of the fields that the record needs.
func (r *Record) fields() (bits uint64) {
	_, zone := r.Time.Zone()
	for i, is := range [...]bool{
		!r.Until.IsZero(), r.Monotonic != 0, r.Boot != "", r.From != "" || r.To != "" || r.SubState != "",
		r.Rule != "", r.Result != "", r.Invocation != [16]byte{}, r.Kind == Many, zone != 0, r.Up != 0 || r.Down != 0,
	} {
		if is {
			bits |= 1 << i
		}
	}
	return bits
}

// append appends a record with its head, for its place in this page.
func (p *page) append(b []byte, r *Record) []byte {
	at := len(b)
	b = append(b, make([]byte, head)...)
	b = append(b, byte(r.Kind))
	b = binary.AppendUvarint(b, uint64(r.Flags))
	_, zone := r.Time.Zone()
	fields := r.fields()
	b = binary.AppendUvarint(b, fields)
	b = binary.AppendUvarint(b, r.Seq-p.seq)
	b = binary.AppendVarint(b, r.Time.UnixMicro()-p.time)
	p.seq, p.time = r.Seq, r.Time.UnixMicro()
	b = p.appendText(b, r.Unit)
	for _, n := range r.After.all() {
		b = binary.AppendVarint(b, *n)
	}
	if fields&hasUntil != 0 {
		b = binary.AppendVarint(b, r.Until.UnixMicro()-p.time)
	}
	if fields&hasMonotonic != 0 {
		b = binary.AppendUvarint(b, r.Monotonic)
	}
	if fields&hasBoot != 0 {
		b = p.appendText(b, r.Boot)
	}
	if fields&hasStates != 0 {
		b = p.appendText(p.appendText(p.appendText(b, r.From), r.To), r.SubState)
	}
	if fields&hasRule != 0 {
		b = p.appendText(b, r.Rule)
	}
	if fields&hasResult != 0 {
		b = binary.AppendVarint(binary.AppendVarint(p.appendText(b, r.Result), int64(r.Code)), int64(r.Status))
	}
	if fields&hasInvocation != 0 {
		b = append(b, r.Invocation[:]...)
	}
	if fields&hasDelta != 0 {
		for _, n := range r.Delta.all() {
			b = binary.AppendVarint(b, *n)
		}
	}
	if fields&hasZone != 0 {
		b = binary.AppendVarint(b, int64(zone))
	}
	if fields&hasSpans != 0 {
		b = binary.AppendUvarint(binary.AppendUvarint(b, span(r.Up)), span(r.Down))
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(len(b)-at-head))
	binary.LittleEndian.PutUint32(b[at+2:], checksum(b[at:]))
	return b
}

// span returns a time in ms. A time that is known is at least 1 ms, because 0 means unknown.
func span(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return max(1, uint64(d.Milliseconds()))
}

// checksum returns the CRC of a record with its head.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:2], castagnoli), castagnoli, b[head:])
}

// appendText appends the number of a text. If the page does not have it yet, 0 and the text itself
// are appended.
func (p *page) appendText(b []byte, text string) []byte {
	for i, known := range p.texts {
		if known == text {
			return binary.AppendUvarint(b, uint64(i+1))
		}
	}
	text = text[:min(len(text), most)]
	p.texts = append(p.texts, text)
	b = binary.AppendUvarint(append(b, 0), uint64(len(text)))
	return append(b, text...)
}

// decode reads the record at the beginning of b, which is the rest of a page. It returns how many
// bytes the record has. At the end of the page, where only zeros follow, it returns 0. zones
// returns the zone with an offset.
func (p *page) decode(b []byte, r *Record, zones func(seconds int) *time.Location) (int, error) {
	n := 0
	if len(b) >= head {
		n = int(binary.LittleEndian.Uint16(b))
	}
	if n == 0 && bytes.Count(b, []byte{0}) == len(b) {
		return 0, nil
	}
	if n == 0 || n > len(b)-head || checksum(b[:head+n]) != binary.LittleEndian.Uint32(b[2:]) {
		return 0, errDamaged
	}
	d := decoder{b: b[head : head+n], page: p}
	*r = Record{Kind: Kind(d.byte()), Flags: Flags(d.uvarint())}
	fields := d.uvarint()
	p.seq += d.uvarint()
	p.time += d.varint()
	r.Seq = p.seq
	r.Unit = d.text()
	d.counts(&r.After)
	if fields&hasUntil != 0 {
		r.Until = time.UnixMicro(p.time + d.varint())
	}
	if fields&hasMonotonic != 0 {
		r.Monotonic = d.uvarint()
	}
	if fields&hasBoot != 0 {
		r.Boot = d.text()
	}
	if fields&hasStates != 0 {
		r.From, r.To, r.SubState = d.text(), d.text(), d.text()
	}
	if fields&hasRule != 0 {
		r.Rule = d.text()
	}
	if fields&hasResult != 0 {
		r.Result, r.Code, r.Status = d.text(), int32(d.varint()), int32(d.varint())
	}
	if fields&hasInvocation != 0 {
		copy(r.Invocation[:], d.bytes(len(r.Invocation)))
	}
	if r.Delta = Single(r.Kind, r.Flags); fields&hasDelta != 0 {
		d.counts(&r.Delta)
	}
	offset := 0
	if fields&hasZone != 0 {
		offset = int(d.varint())
	}
	if fields&hasSpans != 0 {
		r.Up, r.Down = d.span(), d.span()
	}
	if d.bad || r.Kind >= kinds {
		return 0, errDamaged
	}
	r.Time = time.UnixMicro(p.time).In(zones(offset))
	if !r.Until.IsZero() {
		r.Until = r.Until.In(zones(offset))
	}
	return head + n, nil
}

// A decoder takes fields from the beginning of a record. If something is missing, it notes that and
// returns zeros.
type decoder struct {
	b    []byte
	at   int // where the next field begins
	page *page
	bad  bool
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b)-d.at {
		d.bad, d.at = true, len(d.b)
		return make([]byte, max(0, min(n, most)))
	}
	d.at += n
	return d.b[d.at-n : d.at]
}

func (d *decoder) byte() byte { return d.bytes(1)[0] }

func (d *decoder) uvarint() uint64 {
	b := d.b[d.at:]
	if len(b) > 1 { // nearly all have one byte or two
		switch {
		case b[0] < 0x80:
			d.at++
			return uint64(b[0])
		case b[1] < 0x80:
			d.at += 2
			return uint64(b[0]&0x7f) | uint64(b[1])<<7
		}
	}
	n, size := binary.Uvarint(b)
	d.bytes(max(size, 0))
	d.bad = d.bad || size <= 0
	return n
}

// varint reads what binary.AppendVarint has written.
func (d *decoder) varint() int64 {
	n := d.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// span reads what span has returned.
func (d *decoder) span() time.Duration {
	ms := d.uvarint()
	if ms > uint64(math.MaxInt64/time.Millisecond) {
		d.bad = true
	}
	return time.Duration(ms) * time.Millisecond
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > 0 {
		if n > uint64(len(d.page.texts)) {
			d.bad = true
			return ""
		}
		return d.page.texts[n-1]
	}
	raw := d.bytes(int(min(d.uvarint(), most+1)))
	text, known := d.page.same[string(raw)]
	if !known {
		text = string(raw)
		d.page.same[text] = text
	}
	d.page.texts = append(d.page.texts, text)
	return text
}

func (d *decoder) counts(c *Counts) {
	for _, n := range c.all() {
		*n = d.varint()
	}
}
