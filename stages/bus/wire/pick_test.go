package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// entries reads an a{sv} with godbus.
func entries(t *testing.T, body []byte, order binary.ByteOrder) map[string]any {
	t.Helper()
	var msg bytes.Buffer
	err := (&dbus.Message{Type: dbus.TypeSignal, Body: []any{map[string]dbus.Variant{}}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/")),
		dbus.FieldInterface: dbus.MakeVariant("i.i"),
		dbus.FieldMember:    dbus.MakeVariant("m"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("a{sv}")),
	}}).EncodeTo(&msg, order)
	if err != nil {
		t.Fatal(err)
	}
	frame := append(msg.Bytes()[:msg.Len()-8:msg.Len()-8], body...) // in place of the empty one
	order.PutUint32(frame[4:], uint32(len(body)))
	m, err := dbus.DecodeMessage(bytes.NewReader(frame))
	if err != nil {
		t.Fatalf("godbus: %v", err)
	}
	values := make(map[string]any)
	for key, v := range m.Body[0].(map[string]dbus.Variant) {
		values[key] = v.Value()
	}
	return values
}

func TestPick(t *testing.T) {
	all := map[string]any{
		"a": "text", "b": uint64(7), "c": byte(1), "d": []string{"x", ""}, "e": true, "f": int32(-1), "g": []byte{1, 2, 3},
		"h": dbus.MakeVariant(uint16(5)), "i": []uint64{}, "j": "",
	}
	variants := make(map[string]dbus.Variant)
	for key, v := range all {
		variants[key] = dbus.MakeVariant(v)
	}
	for _, order := range orders {
		for range 200 { // of all combinations, in as many orders as godbus has
			want := make(map[string]any)
			for key, v := range all {
				if rand.N(2) == 0 {
					want[key] = v
				}
			}
			body := mustMarshal(t, order, variants)
			was := bytes.Clone(body)
			got := Pick(body, order, func(key []byte) bool { _, ok := want[string(key)]; return ok })
			if diff := cmp.Diff(want, entries(t, got, order), cmp.Comparer(func(a, b dbus.Variant) bool { return a.String() == b.String() })); diff != "" {
				t.Fatalf("picked (-want +got):\n%s", diff)
			}
			if !bytes.Equal(was, body) {
				t.Fatal("the body was written to")
			}
		}
	}
}

func TestPickLeavesWhatIsMalformed(t *testing.T) {
	body := mustMarshal(t, binary.LittleEndian, map[string]dbus.Variant{"a": dbus.MakeVariant("text")})
	for n := range body {
		cut := body[:n]
		if got := Pick(cut, binary.LittleEndian, func([]byte) bool { return true }); !bytes.Equal(cut, got) {
			t.Errorf("of %d bytes: %q", n, got)
		}
	}
}
