package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"strings"
)

// The checksum of a record is the CRC-32C of the unit's name and the record's values, as
// eight hexadecimal digits. To compute it, the record is written as JSON without white
// space, with the keys in the order of struct record, and with zeros in place of the
// checksum. So white space, the order of the keys, and keys that the monitor does not know
// do not matter. A CRC detects every single flipped bit.
const (
	checksumKey = `"checksum":"`
	noChecksum  = "00000000"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum computes the checksum of a record. text is JSON without white space, with zeros
// in place of the checksum.
func checksum(unit string, text []byte) (sum [len(noChecksum)]byte) {
	if bytes.Contains(text, []byte(`\ufffd`)) {
		// Bytes that are not UTF-8 are written as this escape. After reading they are the
		// character U+FFFD, which is written as such. Both must have the same checksum.
		text = bytes.ReplaceAll(text, []byte(`\ufffd`), []byte("\uFFFD"))
	}
	crc := crc32.Update(0, castagnoli, []byte(strings.ToValidUTF8(unit, "\uFFFD")))
	crc = crc32.Update(crc, castagnoli, []byte{0})
	crc = crc32.Update(crc, castagnoli, text)
	hex.AppendEncode(sum[:0], binary.BigEndian.AppendUint32(nil, crc))
	return sum
}

// A sealer encodes records with their checksums.
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

// checksumIn returns the part of a record that is its checksum; nil if it has none. The
// record is JSON without white space. The key cannot occur inside of a JSON string, because
// there each quote has a backslash before it.
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

// sealed reports whether the text of a record has the right checksum as it is. The text has
// no white space. sealed overwrites its checksum with zeros.
func sealed(unit string, text []byte) bool {
	sum := checksumIn(text)
	if sum == nil {
		return false
	}
	want := [len(noChecksum)]byte(sum)
	copy(sum, noChecksum)
	return checksum(unit, text) == want
}

// holds reports whether the checksum of a record is right for its values, in whatever form
// they were written.
func (r record) holds(unit string) bool {
	had := r.Checksum
	text, err := newSealer().seal(unit, &r)
	return err == nil && had == string(checksumIn(text))
}

// mend looks for a single flipped bit in a member of the file, which is a unit's name and
// its record. It tries each bit, and returns the text with the right checksum.
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
