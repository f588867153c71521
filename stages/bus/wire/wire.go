// Package wire reads D-Bus messages where they lie, without reflection and
// without allocating. It reads what the D-Bus specification ("Marshaling")
// describes and refuses the rest; nothing that is received can make it panic
// or read outside its input.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// ErrMalformed is the one error of this package: the bytes are not what their
// signature says. Nothing can be done about it but to count and refuse.
var ErrMalformed = errors.New("malformed D-Bus data")

// Limits of the D-Bus specification.
const (
	maxArray = 1 << 26 // bytes in an array
	maxDepth = 64      // containers, variants included
	maxNest  = 32      // arrays, and likewise structs, in one signature
)

// basic are the types that the key of a dict entry can have.
const basic = "ybnqiuxtdsogh"

// A Reader walks over one marshaled body. The first fault sticks: from then
// on every method returns a zero value, so a walk checks Err once, at its end.
// What it returns lies in the body, and is valid as long as that is.
type Reader struct {
	b     []byte
	pos   int
	order binary.ByteOrder
	bad   bool
}

// NewReader returns a reader of body, which begins at a multiple of 8 bytes in
// its message.
func NewReader(body []byte, order binary.ByteOrder) Reader {
	return Reader{b: body, order: order}
}

// Err returns ErrMalformed if anything so far was.
func (r *Reader) Err() error {
	if r.bad {
		return ErrMalformed
	}
	return nil
}

// Fail makes the body malformed, for a reason that only the caller can see.
func (r *Reader) Fail() { r.bad = true }

// Done reports whether the body is read to its end, without a fault.
func (r *Reader) Done() bool { return !r.bad && r.pos == len(r.b) }

// take returns the next n bytes, or nil.
func (r *Reader) take(n int) []byte {
	if r.bad || n > len(r.b)-r.pos {
		r.bad = true
		return nil
	}
	b := r.b[r.pos : r.pos+n : r.pos+n] // an append must not reach the body
	r.pos += n
	return b
}

// Align skips the padding, of zeros, before a value that begins at a multiple
// of n bytes: 1, 2, 4 or 8.
func (r *Reader) Align(n int) {
	for _, c := range r.take(-r.pos & (n - 1)) {
		if c != 0 {
			r.bad = true
		}
	}
}

// Byte reads a y.
func (r *Reader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint32 reads a u.
func (r *Reader) Uint32() uint32 {
	r.Align(4)
	if b := r.take(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

// Int32 reads an i.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint64 reads a t.
func (r *Reader) Uint64() uint64 {
	r.Align(8)
	if b := r.take(8); b != nil {
		return r.order.Uint64(b)
	}
	return 0
}

// String reads an s, or an o whose syntax does not matter to the caller,
// without its final NUL. It is valid UTF-8 and holds no NUL.
func (r *Reader) String() []byte {
	n := r.Uint32()
	if uint64(n) >= uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	s := r.text(int(n))
	if !utf8.Valid(s) || bytes.IndexByte(s, 0) >= 0 {
		r.bad = true
		return nil
	}
	return s
}

// path reads an o.
func (r *Reader) path() []byte {
	p := r.String()
	if !validPath(p) {
		r.bad = true
		return nil
	}
	return p
}

// Signature reads a g: any number of complete types.
func (r *Reader) Signature() []byte {
	sig := r.text(int(r.Byte()))
	if !valid(sig) {
		r.bad = true
		return nil
	}
	return sig
}

func (r *Reader) text(n int) []byte {
	b := r.take(n + 1)
	if b == nil || b[n] != 0 {
		r.bad = true
		return nil
	}
	return b[:n:n]
}

// Array reads the head of an array whose elements begin at multiples of align
// bytes. The elements end where More says so.
func (r *Reader) Array(align int) (end int) {
	n := r.Uint32()
	if n > maxArray {
		r.bad = true
	}
	r.Align(align)
	if r.bad || int(n) > len(r.b)-r.pos {
		r.bad = true
		return r.pos
	}
	return r.pos + int(n)
}

// More reports whether another element follows in an array that ends at end.
// An element that reaches beyond the end is a fault.
func (r *Reader) More(end int) bool {
	if r.pos > end {
		r.bad = true
	}
	return !r.bad && r.pos < end
}

// Bytes reads an ay.
func (r *Reader) Bytes() []byte {
	end := r.Array(1)
	return r.take(end - r.pos)
}

// Variant reads the head of a variant: the signature of the one value that
// follows.
func (r *Reader) Variant() []byte {
	sig := r.text(int(r.Byte()))
	if n := single(sig, 0, 0); n == 0 || n != len(sig) {
		r.bad = true
		return nil
	}
	return sig
}

// Skip reads over the values of a signature: one complete type, as Variant
// returns it, or any number of them. What the caller has already entered does
// not count towards the limit of containers inside each other.
func (r *Reader) Skip(sig []byte) {
	if !valid(sig) {
		r.bad = true
	}
	for len(sig) > 0 && !r.bad {
		sig = sig[r.skip(sig, 0):]
	}
}

// skip reads over one value, which depth containers hold, of the first type in
// a valid signature, and returns that type's length. It goes through the
// signature along with the value, so that a struct's type is not searched for
// its end again at each level. (A rest of sig as the result would make the
// compiler put every sig on the heap.)
func (r *Reader) skip(sig []byte, depth int) int {
	switch sig[0] {
	case 'y':
		r.take(1)
	case 'n', 'q':
		r.Align(2)
		r.take(2)
	case 'i', 'u', 'h':
		r.Uint32()
	case 'b':
		if r.Uint32() > 1 {
			r.bad = true
		}
	case 'x', 't', 'd':
		r.Uint64()
	case 's':
		r.String()
	case 'o':
		r.path()
	case 'g':
		r.Signature()
	default:
		return r.skipContainer(sig, depth+1)
	}
	return 1
}

func (r *Reader) skipContainer(sig []byte, depth int) int {
	if depth > maxDepth {
		r.bad = true
	}
	switch sig[0] {
	case 'v':
		if inner := r.Variant(); !r.bad {
			r.skip(inner, depth)
		}
		return 1
	case 'a':
		r.skipArray(sig[1:], depth)
		return single(sig, 0, 0)
	}
	r.Align(8) // a struct or a dict entry
	n := 1
	for sig[n] != ')' && sig[n] != '}' {
		n += r.skip(sig[n:], depth)
	}
	return n + 1
}

func (r *Reader) skipArray(elem []byte, depth int) {
	end := r.Array(alignment(elem[0]))
	if size := fixed(elem[0]); size > 0 {
		if (end-r.pos)%size != 0 {
			r.bad = true
		}
		r.take(end - r.pos)
		return
	}
	for r.More(end) {
		r.skip(elem, depth)
	}
}

func alignment(c byte) int {
	switch c {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 'h', 's', 'o', 'a':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1
}

// fixed is the size of a type of fixed size whose every value is well-formed,
// or 0. A b is not: it is 0 or 1.
func fixed(c byte) int {
	switch c {
	case 'y', 'n', 'q', 'i', 'u', 'h', 'x', 't', 'd':
		return alignment(c)
	}
	return 0
}
