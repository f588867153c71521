package wire

import "encoding/binary"

// FixedHeader is the size of the part of a message that says how long the
// rest is.
const FixedHeader = 16

// Message types of the D-Bus specification.
const (
	MethodCall  = 1
	MethodReply = 2
	Error       = 3
	Signal      = 4
)

// Header fields of the D-Bus specification.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldSender      = 7
	fieldSignature   = 8
)

// fieldTypes holds the type of each header field at the place of its code. No
// type is that of code 0, which is invalid.
const fieldTypes = "?osssussgu"

// required are the fields that a message of each type must have, as bits.
var required = [...]uint16{
	MethodCall:  1<<fieldPath | 1<<fieldMember,
	MethodReply: 1 << fieldReplySerial,
	Error:       1<<fieldErrorName | 1<<fieldReplySerial,
	Signal:      1<<fieldPath | 1<<fieldInterface | 1<<fieldMember,
}

// maxMessage is the D-Bus specification's limit of a message's length.
const maxMessage = 1 << 27

// A Prefix is what the first FixedHeader bytes of a message say.
type Prefix struct {
	Order binary.ByteOrder
	Type  byte
	// Header and Body are the lengths in bytes of the header (padding and these
	// first bytes included) and of the body that follows it.
	Header, Body int
}

// ParsePrefix reads the first FixedHeader bytes of a message. An error means
// that the stream can no longer be cut into messages.
func ParsePrefix(b []byte) (Prefix, error) {
	if len(b) < FixedHeader {
		return Prefix{}, ErrMalformed
	}
	p := Prefix{Type: b[1]}
	switch b[0] {
	case 'l':
		p.Order = binary.LittleEndian
	case 'B':
		p.Order = binary.BigEndian
	default:
		return Prefix{}, ErrMalformed
	}
	body, fields := p.Order.Uint32(b[4:]), p.Order.Uint32(b[12:])
	if b[3] != 1 || fields > maxArray || body > maxMessage {
		return Prefix{}, ErrMalformed
	}
	p.Body, p.Header = int(body), (FixedHeader+int(fields)+7)&^7
	if p.Header+p.Body > maxMessage {
		return Prefix{}, ErrMalformed
	}
	return p, nil
}

// A Header holds the header fields that matter to a receiver of signals and
// replies. Its slices lie in the header that was parsed.
type Header struct {
	Path, Interface, Member, ErrorName, Sender, Signature []byte
	ReplySerial                                           uint32
}

// ParseHeader reads a whole header, of p.Header bytes. It does not judge the
// syntax of names: a receiver compares them with those that it knows.
func ParseHeader(b []byte, p Prefix) (Header, error) {
	var h Header
	var seen uint16
	r := Reader{b: b, pos: 8, order: p.Order}
	serial := r.Uint32()
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		code, sig := r.Byte(), r.Variant()
		if int(code) < len(fieldTypes) {
			// A second sender, say, would leave open which of them is meant.
			if string(sig) != fieldTypes[code:code+1] || seen&(1<<code) != 0 {
				r.bad = true
			}
			seen |= 1 << code
		}
		h.read(&r, code, sig)
	}
	r.Align(8)
	switch {
	case !r.Done(), serial == 0,
		int(p.Type) < len(required) && required[p.Type]&^seen != 0,
		len(h.Signature) == 0 && p.Body > 0:
		return Header{}, ErrMalformed
	}
	return h, nil
}

func (h *Header) read(r *Reader, code byte, sig []byte) {
	switch code {
	case fieldPath:
		h.Path = r.path()
	case fieldInterface:
		h.Interface = r.String()
	case fieldMember:
		h.Member = r.String()
	case fieldErrorName:
		h.ErrorName = r.String()
	case fieldReplySerial:
		h.ReplySerial = r.Uint32()
	case fieldSender:
		h.Sender = r.String()
	case fieldSignature:
		h.Signature = r.Signature()
	default:
		r.Skip(sig)
	}
}
