package broker

import (
	"errors"

	"github.com/eclipse/paho.golang/packets"
)

// maxReceived is the size of the largest packet that we take. The broker is told so. The largest one that
// we hear is a message of our own.
const maxReceived = 256 << 10

// Errors of a side that is no MQTT 5 broker.
var (
	errNotMQTT   = errors.New("the other side does not speak MQTT")
	errSpeaksTLS = errors.New("the other side speaks TLS")
	errOldMQTT   = errors.New("the broker speaks only MQTT 3")
)

// frames checks the stream of a broker before paho reads it. paho makes room for whatever length a packet
// claims to have, and that is up to 256 MB if the other side speaks something else. It also reads a length
// that never ends.
type frames struct {
	begun bool // the first packet was seen
	kind  byte // the first byte of the packet
	body  int  // how many bytes of the packet are missing
	shift uint // where the next byte of the length goes
	where int  // what the next byte is
}

// What the next byte is.
const (
	atKind = iota
	atLength
	inBody
)

// check looks at the next bytes. They may end anywhere in a packet.
func (f *frames) check(b []byte) error {
	for len(b) > 0 {
		if f.where == inBody {
			n := min(len(b), f.body)
			b, f.body = b[n:], f.body-n
			if f.body == 0 {
				f.where = atKind
			}
			continue
		}
		if err := f.header(b[0]); err != nil {
			return err
		}
		b = b[1:]
	}
	return nil
}

// header takes a byte of the fixed header.
func (f *frames) header(b byte) error {
	if f.where == atKind {
		f.kind, f.body, f.shift, f.where = b, 0, 0, atLength
		switch {
		case f.begun || b == packets.CONNACK<<4:
			return nil
		case b == recordAlert || b == recordHandshake:
			return errSpeaksTLS
		}
		return errNotMQTT
	}
	f.body |= int(b&0x7f) << f.shift
	f.shift += 7
	switch {
	case b >= 0x80 && f.shift < 28:
		return nil
	case b >= 0x80 || f.body > maxReceived:
		return errNotMQTT
	case !f.begun && f.body == 2: // MQTT 5 has at least the length of the properties, too
		return errOldMQTT
	}
	f.begun, f.where = true, inBody
	if f.body == 0 {
		f.where = atKind
	}
	return nil
}

// The first byte of a TLS record (RFC 8446, 5.1).
const (
	recordAlert     = 21
	recordHandshake = 22
)
