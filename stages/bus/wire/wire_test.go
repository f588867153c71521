package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

var orders = []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}

// marshal returns values as godbus encodes them at the beginning of a body.
func marshal(order binary.ByteOrder, values ...any) ([]byte, error) {
	msg := dbus.Message{Type: dbus.TypeSignal, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/")),
		dbus.FieldInterface: dbus.MakeVariant("i.i"),
		dbus.FieldMember:    dbus.MakeVariant("m"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("y")), // godbus asks for one, and does not compare
	}}
	var b bytes.Buffer
	if err := msg.EncodeTo(&b, order); err != nil {
		return nil, err
	}
	fields := order.Uint32(b.Bytes()[12:])
	return b.Bytes()[(16+fields+7)&^7:], nil
}

func mustMarshal(t testing.TB, order binary.ByteOrder, values ...any) []byte {
	t.Helper()
	b, err := marshal(order, values...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValues(t *testing.T) {
	type pair struct {
		Name  string
		Value uint64
	}
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			b := mustMarshal(t, order, byte(1), uint32(2), int32(-3), byte(4), uint64(1<<63+5), byte(6), "grüß", dbus.ObjectPath("/a"),
				dbus.ParseSignatureMust("sa{sv}as"), []byte("id"), []pair{{"x", 7}, {"yy", 8}}, []uint64{}, dbus.MakeVariant(uint32(9)))
			r := NewReader(b, order)
			got := []any{r.Byte(), r.Uint32(), r.Int32(), r.Byte(), r.Uint64(), r.Byte(), string(r.String()), string(r.String()),
				string(r.Signature()), string(r.Bytes())}
			for end := r.Array(8); r.More(end); {
				r.Align(8)
				got = append(got, string(r.String()), r.Uint64())
			}
			end := r.Array(8)
			got = append(got, r.More(end), string(r.Variant()), r.Uint32())
			want := []any{byte(1), uint32(2), int32(-3), byte(4), uint64(1<<63 + 5), byte(6), "grüß", "/a", "sa{sv}as", "id",
				"x", uint64(7), "yy", uint64(8), false, "u", uint32(9)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if !r.Done() || r.Err() != nil {
				t.Errorf("Done() = %v, Err() = %v", r.Done(), r.Err())
			}
		})
	}
}

// After a fault nothing is read, whatever is asked for.
func TestFaultSticks(t *testing.T) {
	r := NewReader([]byte("\x02\x00\x00\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"), binary.LittleEndian)
	r.Skip([]byte("b"))
	end := r.Array(1)
	got := []any{r.Err(), r.Done(), r.More(end), r.Byte(), r.Uint32(), r.Int32(), r.Uint64(), r.String(), r.Signature(), r.Bytes(), r.Variant()}
	want := []any{ErrMalformed, false, false, byte(0), uint32(0), int32(0), uint64(0), []byte(nil), []byte(nil), []byte(nil), []byte(nil)}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
		t.Errorf("values after a fault (-want +got):\n%s", diff)
	}
}

func TestFail(t *testing.T) {
	r := NewReader([]byte("\x01"), binary.LittleEndian)
	r.Fail()
	if got := r.Byte(); got != 0 || r.Done() || r.Err() != ErrMalformed {
		t.Errorf("after Fail: Byte() = %d, Done() = %v, Err() = %v", got, r.Done(), r.Err())
	}
}

// A consumer that appends to what it got must not change what follows it.
func TestAppendLeavesBody(t *testing.T) {
	b := mustMarshal(t, binary.LittleEndian, "ab", []byte("cd"), "ef")
	r := NewReader(b, binary.LittleEndian)
	want := bytes.Clone(b)
	_ = append(r.String(), 'x')
	_ = append(r.Bytes(), 'x')
	if !bytes.Equal(b, want) {
		t.Errorf("body is %q after an append, want %q", b, want)
	}
}

type property struct {
	Name  string
	Value dbus.Variant
}

// unitChanged is the body of a PropertiesChanged of the Unit interface, as
// systemd 252 sends it, with its 22 properties.
func unitChanged(t testing.TB, order binary.ByteOrder) []byte {
	t.Helper()
	const realtime, monotonic = uint64(1751876123000000), uint64(86400000000)
	v := dbus.MakeVariant
	return mustMarshal(t, order, "org.freedesktop.systemd1.Unit", []property{
		{"ActiveState", v("active")}, {"FreezerState", v("running")}, {"SubState", v("running")},
		{"StateChangeTimestamp", v(realtime)}, {"StateChangeTimestampMonotonic", v(monotonic)},
		{"InactiveExitTimestamp", v(realtime)}, {"InactiveExitTimestampMonotonic", v(monotonic)},
		{"ActiveEnterTimestamp", v(realtime)}, {"ActiveEnterTimestampMonotonic", v(monotonic)},
		{"ActiveExitTimestamp", v(realtime)}, {"ActiveExitTimestampMonotonic", v(monotonic)},
		{"InactiveEnterTimestamp", v(realtime)}, {"InactiveEnterTimestampMonotonic", v(monotonic)},
		{"Job", v(struct {
			ID   uint32
			Path dbus.ObjectPath
		}{4711, "/org/freedesktop/systemd1/job/4711"})},
		{"ConditionResult", v(true)}, {"AssertResult", v(true)},
		{"ConditionTimestamp", v(realtime)}, {"ConditionTimestampMonotonic", v(monotonic)},
		{"AssertTimestamp", v(realtime)}, {"AssertTimestampMonotonic", v(monotonic)},
		{"InvocationID", v([]byte("0123456789abcdef"))},
		{"ActivationDetails", v([]struct{ Key, Value string }{{"trigger_unit", "a.timer"}, {"trigger_timer_realtime_usec", "1"}})},
	}, []string{"Conditions", "Asserts"})
}

// walk picks a few properties and reads over the others, as the decoder does.
func walk(b []byte, order binary.ByteOrder) (active, invocation []byte, changed uint64, ok bool) {
	r := NewReader(b, order)
	r.String()
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		name, sig := r.String(), r.Variant()
		switch {
		case string(name) == "ActiveState" && string(sig) == "s":
			active = r.String()
		case string(name) == "InvocationID" && string(sig) == "ay":
			invocation = r.Bytes()
		case string(name) == "StateChangeTimestamp" && string(sig) == "t":
			changed = r.Uint64()
		default:
			r.Skip(sig)
		}
	}
	r.Skip([]byte("as"))
	return active, invocation, changed, r.Done()
}

func TestWalk(t *testing.T) {
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			b := unitChanged(t, order)
			active, invocation, changed, ok := walk(b, order)
			got := []any{string(active), string(invocation), changed, ok}
			if diff := cmp.Diff([]any{"active", "0123456789abcdef", uint64(1751876123000000), true}, got); diff != "" {
				t.Errorf("properties (-want +got):\n%s", diff)
			}
			// A walk over every piece of it ends with a fault, not a panic.
			for n := range b {
				if _, _, _, ok := walk(b[:n:n], order); ok {
					t.Errorf("the first %d of %d bytes are a body too", n, len(b))
				}
			}
		})
	}
}

func TestWalkDoesNotAllocate(t *testing.T) {
	b := unitChanged(t, binary.LittleEndian)
	got := testing.AllocsPerRun(100, func() {
		if _, _, _, ok := walk(b, binary.LittleEndian); !ok {
			t.Error("the body is refused")
		}
		if !skips("sa{sv}as", b, binary.LittleEndian) {
			t.Error("Skip refuses the body")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations in a walk, want 0", got)
	}
}

func BenchmarkWalk(b *testing.B) {
	body := unitChanged(b, binary.LittleEndian)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, ok := walk(body, binary.LittleEndian); !ok {
			b.Fatal("the body is refused")
		}
	}
}
