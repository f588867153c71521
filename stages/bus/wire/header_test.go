package wire

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

type field struct {
	Code  byte
	Value dbus.Variant
}

var (
	path   = field{fieldPath, dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/systemd1/unit/a_2eservice"))}
	iface  = field{fieldInterface, dbus.MakeVariant("org.freedesktop.DBus.Properties")}
	member = field{fieldMember, dbus.MakeVariant("PropertiesChanged")}
	sender = field{fieldSender, dbus.MakeVariant(":1.2")}
	sign   = field{fieldSignature, dbus.MakeVariant(dbus.ParseSignatureMust("sa{sv}as"))}
	answer = field{fieldReplySerial, dbus.MakeVariant(uint32(7))}
	failed = field{fieldErrorName, dbus.MakeVariant("a.b")}
)

// header returns a message's header with its padding.
func header(t testing.TB, order binary.ByteOrder, kind byte, serial, body uint32, fields ...field) []byte {
	t.Helper()
	mark := byte('l')
	if order == binary.BigEndian {
		mark = 'B'
	}
	b := mustMarshal(t, order, mark, kind, byte(0), byte(1), body, serial, fields)
	return append(b, make([]byte, -len(b)&7)...)
}

func TestParsePrefix(t *testing.T) {
	prefix := func(change func(b []byte)) []byte {
		b := header(t, binary.LittleEndian, Signal, 1, 5, path, iface, member, sign)[:FixedHeader]
		change(b)
		return b
	}
	put := func(at int, n uint32) []byte {
		return prefix(func(b []byte) { binary.LittleEndian.PutUint32(b[at:], n) })
	}
	const fields, body = 12, 4
	tests := []struct {
		name string
		b    []byte
		want Prefix // none if there is an error
	}{
		{"signal", put(fields, 150), Prefix{binary.LittleEndian, Signal, 168, 5}},
		{"reply", prefix(func(b []byte) { b[1], b[12] = MethodReply, 8 }), Prefix{binary.LittleEndian, MethodReply, 24, 5}},
		{"type to ignore", prefix(func(b []byte) { b[1], b[12] = 77, 8 }), Prefix{binary.LittleEndian, 77, 24, 5}},
		{"big-endian", header(t, binary.BigEndian, Signal, 1, 5)[:FixedHeader], Prefix{binary.BigEndian, Signal, 16, 5}},
		{"no bytes", nil, Prefix{}},
		{"cut short", put(fields, 8)[:FixedHeader-1], Prefix{}},
		{"no byte order", prefix(func(b []byte) { b[0] = 'L' }), Prefix{}},
		{"protocol version 2", prefix(func(b []byte) { b[3] = 2 }), Prefix{}},
		{"longest fields", put(fields, 1<<26), Prefix{binary.LittleEndian, Signal, 1<<26 + 16, 5}},
		{"fields too long", put(fields, 1<<26+1), Prefix{}},
		{"fields of 2^31 bytes", put(fields, 1<<31), Prefix{}},
		{"fields of 2^32-1 bytes", put(fields, 1<<32-1), Prefix{}},
		{"longest message", prefix(func(b []byte) { copy(b[4:], "\xe0\xff\xff\x07\x01\x00\x00\x00\x09\x00\x00\x00") }),
			Prefix{binary.LittleEndian, Signal, 32, 1<<27 - 32}},
		{"message too long", prefix(func(b []byte) { copy(b[4:], "\xe1\xff\xff\x07\x01\x00\x00\x00\x09\x00\x00\x00") }), Prefix{}},
		{"body of 2^31 bytes", put(body, 1<<31), Prefix{}},
		{"body of 2^32-1 bytes", put(body, 1<<32-1), Prefix{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePrefix(tt.b)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != (tt.want == Prefix{}) {
				t.Errorf("ParsePrefix(%q), error %v (-want +got):\n%s", tt.b, err, diff)
			}
		})
	}
}

// A signal to start from; most rows change one field of it.
var signal = []field{path, iface, member, sender, sign}

func TestParseHeader(t *testing.T) {
	v := dbus.MakeVariant
	without := func(i int) []field { return append(append([]field{}, signal[:i]...), signal[i+1:]...) }
	with := func(f ...field) []field { return append(append([]field{}, signal...), f...) }
	const body = 5
	tests := []struct {
		name         string
		kind         byte
		serial, body uint32
		fields       []field
		want         bool
	}{
		{"signal", Signal, 1, body, signal, true},
		{"signal without sender", Signal, 1, body, without(3), true},
		{"signal without path", Signal, 1, body, without(0), false},
		{"signal without interface", Signal, 1, body, without(1), false},
		{"signal without member", Signal, 1, body, without(2), false},
		{"signal with reply serial, to be ignored", Signal, 1, body, with(answer), true},
		{"signal with serial 0", Signal, 0, body, signal, false},
		{"no signature, no body", Signal, 1, 0, without(4), true},
		{"no signature, but a body", Signal, 1, body, without(4), false},
		{"empty signature, but a body", Signal, 1, body, append(without(4), field{fieldSignature, v(dbus.Signature{})}), false},
		{"field twice", Signal, 1, body, with(sender), false},
		{"destination twice", Signal, 1, body, with(field{6, v(":1.3")}, field{6, v(":1.4")}), false},
		{"path is a string", Signal, 1, body, append(without(0), field{fieldPath, v("/")}), false},
		{"path is no path", Signal, 1, body, append(without(0), field{fieldPath, v([]byte("/"))}), false},
		{"member is a path", Signal, 1, body, append(without(2), field{fieldMember, v(dbus.ObjectPath("/"))}), false},
		{"sender is a signature", Signal, 1, body, append(without(3), field{fieldSender, v(dbus.Signature{})}), false},
		{"signature is a string", Signal, 1, body, append(without(4), field{fieldSignature, v("s")}), false},
		{"descriptors are an int32", Signal, 1, body, with(field{9, v(int32(0))}), false},
		{"descriptors", Signal, 1, body, with(field{9, v(uint32(0))}), true},
		{"field 0", Signal, 1, body, with(field{0, v("")}), false},
		{"unknown field", Signal, 1, body, with(field{10, v([]dbus.Variant{v("x")})}, field{255, v(1.5)}), true},
		{"unknown field twice", Signal, 1, body, with(field{10, v("x")}, field{10, v("y")}), true},
		{"call", MethodCall, 1, 0, []field{path, member}, true},
		{"call without path", MethodCall, 1, 0, []field{member}, false},
		{"reply", MethodReply, 1, 0, []field{answer}, true},
		{"reply to nothing", MethodReply, 1, 0, []field{sender}, false},
		{"error", Error, 1, 0, []field{answer, failed}, true},
		{"error without name", Error, 1, 0, []field{answer}, false},
		{"unknown type", 5, 1, 0, nil, true},
	}
	for _, tt := range tests {
		for _, order := range orders {
			t.Run(tt.name+"/"+order.String(), func(t *testing.T) {
				b := header(t, order, tt.kind, tt.serial, tt.body, tt.fields...)
				p, err := ParsePrefix(b)
				if err != nil || p.Header != len(b) {
					t.Fatalf("ParsePrefix: header of %d bytes, want %d; error %v", p.Header, len(b), err)
				}
				h, err := ParseHeader(b, p)
				var want Header
				for _, f := range tt.fields {
					if tt.want {
						want.put(dbus.HeaderField(f.Code), f.Value)
					}
				}
				if diff := cmp.Diff(want, h); diff != "" || (err == nil) != tt.want {
					t.Errorf("ParseHeader, error %v (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

// put sets what godbus calls field f.
func (h *Header) put(f dbus.HeaderField, v dbus.Variant) {
	switch f {
	case dbus.FieldPath:
		h.Path = []byte(v.Value().(dbus.ObjectPath))
	case dbus.FieldInterface:
		h.Interface = []byte(v.Value().(string))
	case dbus.FieldMember:
		h.Member = []byte(v.Value().(string))
	case dbus.FieldErrorName:
		h.ErrorName = []byte(v.Value().(string))
	case dbus.FieldReplySerial:
		h.ReplySerial = v.Value().(uint32)
	case dbus.FieldSender:
		h.Sender = []byte(v.Value().(string))
	case dbus.FieldSignature:
		h.Signature = []byte(v.Value().(dbus.Signature).String())
	}
}

func TestParseHeaderBytes(t *testing.T) {
	good := string(header(t, binary.LittleEndian, Signal, 1, 0, path, iface, member))
	tests := []struct {
		name, b string
		want    bool
	}{
		{"signal", good, true},
		{"no bytes", "", false},
		{"prefix alone", good[:FixedHeader], false},
		{"cut short", good[:len(good)-8], false},
		{"more bytes", good + "\x00", false},
		{"padding at the end is not zero", good[:len(good)-1] + "\x01", false},
		{"path without NUL", strings.Replace(good, "service\x00", "servicex", 1), false},
		{"path is malformed", strings.Replace(good, "/unit/", "/unit-", 1), false},
		{"field that overruns the fields", strings.Replace(good, "\x11\x00\x00\x00Prop", "\x18\x00\x00\x00Prop", 1), false},
		{"field of two types", strings.Replace(good, "\x01s\x00", "\x02s\x00", 1), false},
	}
	p, err := ParsePrefix([]byte(good))
	if err != nil || len(good)&7 != 0 || good[len(good)-1] != 0 || good[len(good)-2] != 0 {
		t.Fatalf("%q has no padding, or is malformed: %v", good, err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseHeader([]byte(tt.b), p); (err == nil) != tt.want {
				t.Errorf("ParseHeader(%q): %v, want accepted: %v", tt.b, err, tt.want)
			}
		})
	}
}

func TestParseHeaderDoesNotAllocate(t *testing.T) {
	b := header(t, binary.LittleEndian, Signal, 1, 5, signal...)
	got := testing.AllocsPerRun(100, func() {
		p, err := ParsePrefix(b)
		if err != nil {
			t.Error(err)
		}
		if _, err := ParseHeader(b, p); err != nil {
			t.Error(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for a header, want 0", got)
	}
}

func BenchmarkParseHeader(b *testing.B) {
	head := header(b, binary.LittleEndian, Signal, 1, 5, signal...)
	b.ReportAllocs()
	for b.Loop() {
		p, _ := ParsePrefix(head)
		if _, err := ParseHeader(head, p); err != nil {
			b.Fatal(err)
		}
	}
}
