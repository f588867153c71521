package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"strings"
)

// The checksum of a record is the CRC-32C of its unit's name and its values, in eight
// hexadecimal digits. It is taken of the record as JSON without white space, in the
// order of the fields here, with zeros in place of the checksum itself. So white
// space, the order of keys, and keys of others do not matter. A CRC finds every
// single bit that flips.
const (
	checksumKey = `"checksum":"`
	noChecksum  = "00000000"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a record as JSON without white space, which has zeros in its
// place.
func checksum(unit string, text []byte) (sum [len(noChecksum)]byte) {
	if bytes.Contains(text, []byte(`\ufffd`)) {
		// This is how bytes are written that are not UTF-8. Once they are read, they
		// are a character like any other, and are written as such.
		text = bytes.ReplaceAll(text, []byte(`\ufffd`), []byte("\uFFFD"))
	}
	crc := crc32.Update(0, castagnoli, []byte(strings.ToValidUTF8(unit, "\uFFFD")))
	crc = crc32.Update(crc, castagnoli, []byte{0})
	crc = crc32.Update(crc, castagnoli, text)
	hex.AppendEncode(sum[:0], binary.BigEndian.AppendUint32(nil, crc))
	return sum
}

// A sealer writes records with their checksums.
type sealer struct {
	text bytes.Buffer
	json *json.Encoder
}

func newSealer() *sealer {
	s := new(sealer)
	s.json = json.NewEncoder(&s.text)
	return s
}

// seal returns a record as JSON without white space, with its checksum. The text is
// valid until the next call.
func (s *sealer) seal(unit string, r *record) ([]byte, error) {
	s.text.Reset()
	r.Checksum = noChecksum
	if err := s.json.Encode(r); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(s.text.Bytes(), []byte("\n"))
	sum := checksum(unit, text)
	copy(checksumIn(text), sum[:])
	return text, nil
}

// checksumIn is the part of a record without white space that is its checksum, nil
// where it has none. What is before it has no such text: inside of a JSON string
// there is a backslash before each quote.
func checksumIn(text []byte) []byte {
	i := bytes.Index(text, []byte(checksumKey))
	if i < 0 {
		return nil
	}
	sum := text[i+len(checksumKey):]
	if len(sum) <= len(noChecksum) || sum[len(noChecksum)] != '"' {
		return nil
	}
	return sum[:len(noChecksum)]
}

// sealed reports whether the text of a record without white space is just what was
// written of a unit. It puts zeros in place of the checksum.
func sealed(unit string, text []byte) bool {
	sum := checksumIn(text)
	if sum == nil {
		return false
	}
	want := [len(noChecksum)]byte(sum)
	copy(sum, noChecksum)
	return checksum(unit, text) == want
}

// holds reports whether the values of a record are those that its checksum is of,
// however they are written.
func (r record) holds(unit string) bool {
	had := r.Checksum
	text, err := newSealer().seal(unit, &r)
	return err == nil && had == string(checksumIn(text))
}

// mend looks for the one bit that has flipped in a member of the file: a unit's name
// and its record. It returns the text as it was written.
func mend(member []byte) (text []byte, ok bool) {
	text = bytes.Clone(member)
	var compact bytes.Buffer
	for i := range text {
		for bit := range 8 {
			text[i] ^= 1 << bit
			if m, rest := (&scanner{text: text}).member(); m.whole && blank(rest) {
				compact.Reset()
				unit, err := m.name()
				if err == nil && json.Compact(&compact, m.value) == nil && sealed(unit, compact.Bytes()) {
					return text, true
				}
			}
			text[i] ^= 1 << bit
		}
	}
	return nil, false
}
