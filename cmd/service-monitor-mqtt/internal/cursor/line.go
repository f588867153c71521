package cursor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// version is the version of the format. Each version has lines with this checksum, and JSON with a
// number "version" in it, so that an older program recognises a newer file.
const version = 1

// ErrNewer is returned by Open for a file that a newer version of the program has written.
var ErrNewer = errors.New("a newer version of service-monitor-mqtt has written it; install that version, or move the file away to publish everything again")

// errDamaged is returned for a line that is incomplete, or that has a wrong checksum.
var errDamaged = errors.New("damaged")

// A content is what a line says: a whole cursor, or a step from the line before.
type content struct {
	Version int `json:"version,omitempty"` // 0 for a step
	// Dir is the durable place to which a volatile file belongs.
	Dir string `json:"dir,omitempty"`
	// ID is made by chance when a cursor begins, and it stays the same as long as that cursor lives.
	ID string `json:"id,omitempty"`
	// Generation grows with each step. No two positions of a cursor have the same.
	Generation uint64 `json:"generation"`
	// Saved is the wall clock of the last save to the durable place, in Unix seconds; 0 if there is none.
	Saved int64             `json:"saved,omitempty"`
	Seq   uint64            `json:"seq"`
	Mark  string            `json:"mark,omitempty"`
	Under string            `json:"under,omitempty"`
	Units map[string]uint64 `json:"units,omitempty"`
	Gone  []string          `json:"gone,omitempty"` // of a step: the units that are removed
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumSize = len("01234567 ")

// encode returns the line of a content.
func encode(c *content) ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return seal(text), nil
}

// seal returns a line: the CRC-32C of a text in hexadecimal, a space, the text, and a newline.
func seal(text []byte) []byte {
	line := make([]byte, 0, sumSize+len(text)+1)
	line = fmt.Appendf(line, "%08x ", crc32.Checksum(text, castagnoli))
	return append(append(line, text...), '\n')
}

// decode reads the line at the beginning of b, and returns what follows it.
func decode(b []byte) (c *content, rest []byte, err error) {
	line, rest, whole := bytes.Cut(b, []byte{'\n'})
	if !whole || len(line) < sumSize || line[sumSize-1] != ' ' {
		return nil, nil, errDamaged
	}
	sum, err := strconv.ParseUint(string(line[:sumSize-1]), 16, 32)
	if text := line[sumSize:]; err != nil || uint32(sum) != crc32.Checksum(text, castagnoli) {
		return nil, nil, errDamaged
	}
	var of struct{ Version int }
	if err := json.Unmarshal(line[sumSize:], &of); err == nil && of.Version > version {
		return nil, nil, ErrNewer
	}
	c = new(content)
	if err := json.Unmarshal(line[sumSize:], c); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return c, rest, nil
}

// position returns the position of a whole cursor.
func (c *content) position() Position {
	return Position{Seq: c.Seq, Mark: c.Mark, Under: c.Under, Units: c.Units}.clone()
}

// add adds a step.
func (c *content) add(step *content) {
	c.Generation, c.Seq, c.Mark, c.Under = step.Generation, step.Seq, step.Mark, step.Under
	if c.Units == nil {
		c.Units = map[string]uint64{}
	}
	for unit, sum := range step.Units {
		c.Units[unit] = sum
	}
	for _, unit := range step.Gone {
		delete(c.Units, unit)
	}
}
