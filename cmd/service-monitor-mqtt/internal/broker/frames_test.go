package broker

import (
	"bytes"
	"errors"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// However a stream is cut into pieces, the result is the same. What passes, paho can read without a panic and
// without room for more than maxReceived.
func FuzzFrames(f *testing.F) {
	for _, p := range []packets.Packet{
		&packets.Puback{PacketID: 1, ReasonCode: 0x87, Properties: &packets.Properties{ReasonString: "no"}},
		&packets.Publish{Topic: "t", Payload: make([]byte, 300), QoS: 1, PacketID: 1, Properties: &packets.Properties{}},
		&packets.Suback{PacketID: 1, Reasons: []byte{1}, Properties: &packets.Properties{}},
		&packets.Disconnect{ReasonCode: 0x8e, Properties: &packets.Properties{}},
	} {
		var b bytes.Buffer
		_, _ = (&packets.Connack{Properties: &packets.Properties{}}).WriteTo(&b)
		_, _ = p.WriteTo(&b)
		f.Add(b.Bytes(), 3)
	}
	f.Add([]byte("\x20\x02\x00\x00"), 1)
	f.Add([]byte("\x15\x03\x01\x00\x02"), 1)
	f.Add([]byte("\x20\xff\xff\xff\xff\x7f"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		whole, cut := &frames{}, &frames{}
		want := whole.check(stream)
		var got error
		for rest, n := stream, max(1, piece); len(rest) > 0 && got == nil; rest = rest[min(n, len(rest)):] {
			got = cut.check(rest[:min(n, len(rest))])
		}
		if !errors.Is(got, want) || *whole != *cut {
			t.Fatalf("%v and %+v in one piece, %v and %+v in pieces of %d", want, whole, got, cut, piece)
		}
		if want != nil {
			return
		}
		for r := bytes.NewReader(stream); ; {
			p, err := packets.ReadPacket(r)
			if err != nil {
				return
			}
			_ = p.PacketID()
		}
	})
}
