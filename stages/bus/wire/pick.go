package wire

import (
	"bytes"
	"encoding/binary"
)

// Pick copies from an a{sv} the entries whose keys are wanted, as an a{sv}. What is
// malformed it copies as it is: whoever reads it will see.
func Pick(body []byte, order binary.ByteOrder, wanted func(key []byte) bool) []byte {
	r := NewReader(body, order)
	picked := make([]byte, 8)
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		begun := r.pos
		key, sig := r.String(), r.Variant()
		r.Skip(sig)
		if !r.bad && wanted(key) {
			// An entry begins at a multiple of 8, and so may be moved by one.
			for len(picked)%8 != 0 {
				picked = append(picked, 0)
			}
			picked = append(picked, body[begun:r.pos]...)
		}
	}
	if !r.Done() {
		return bytes.Clone(body)
	}
	order.PutUint32(picked, uint32(len(picked)-8))
	return picked
}
