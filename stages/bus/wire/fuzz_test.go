package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// The fuzz tests compare this package with godbus. The two differ on purpose.
//
// godbus accepts, and this package refuses, what the specification forbids:
//   - text without its final NUL, padding that is not zero, bytes after the
//     last value of a body, a body without a signature;
//   - text that is not UTF-8 or holds a NUL, object paths that are none (godbus
//     checks both when it sends, and the path in a header);
//   - arrays whose last element reaches beyond their end;
//   - empty structs (an array of them, of any length but 0, it reads until the
//     memory is full: FuzzBody found that, so it is not shown any), and variants
//     as keys of an empty dict;
//   - other protocol versions, serial 0, the same header field twice.
//
// godbus refuses, and this package accepts, what the specification allows:
//   - dicts with keys of type b or g;
//   - an empty dict as the innermost of 64 containers: godbus counts the entry
//     that it does not have;
//   - where an int has 32 bits, indexes of file descriptors from 2^31 on (it
//     catches its own panic);
//   - unknown flags and unknown header fields, which are to be ignored;
//   - names that are none: this package leaves them to the receiver.

// TestDifferences shows where godbus is the more lenient one.
func TestDifferences(t *testing.T) {
	tests := []struct {
		name, sig, body string
	}{
		{"string without NUL", "s", "\x01\x00\x00\x00ab"},
		{"signature without NUL", "g", "\x01yy"},
		{"padding is not zero", "yq", "\x00\x01\x00\x00"},
		{"bytes after the last value", "y", "\x00\x00"},
		{"body without a signature", "", "\x00"},
		{"string is not UTF-8", "s", "\x01\x00\x00\x00\xff\x00"},
		{"string with a NUL", "s", "\x01\x00\x00\x00\x00\x00"},
		{"path is none", "o", "\x01\x00\x00\x00a\x00"},
		{"array whose last element overruns it", "as", "\x05\x00\x00\x00\x01\x00\x00\x00a\x00"},
		{"array of fixed size with a part of an element", "aq", "\x01\x00\x00\x00ab"},
		{"empty struct", "()", ""},
		{"variants as keys", "a{vy}", "\x00\x00\x00\x00\x00\x00\x00\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if skips(tt.sig, []byte(tt.body), binary.LittleEndian) {
				t.Error("Skip accepts")
			}
			if _, err := decode(t, tt.sig, []byte(tt.body), binary.LittleEndian); err != nil {
				t.Errorf("godbus refuses: %v", err)
			}
		})
	}
}

// decode has godbus decode a body, which it does only within a message.
func decode(t testing.TB, sig string, body []byte, order binary.ByteOrder) ([]any, error) {
	t.Helper()
	s, err := dbus.ParseSignature(sig)
	if err != nil {
		return nil, err
	}
	b := header(t, order, Signal, 1, uint32(len(body)), path, iface, member, field{fieldSignature, dbus.MakeVariant(s)})
	msg, err := dbus.DecodeMessage(bytes.NewReader(append(b, body...)))
	if err != nil {
		return nil, err
	}
	return msg.Body, nil
}

// stricter reports whether godbus refuses a body for a reason of its own.
func stricter(err error) bool {
	return errors.As(err, new(dbus.InvalidTypeError)) || // a key of type b or g
		strconv.IntSize == 32 && errors.As(err, new(runtime.Error)) || // an h from 2^31 on
		errors.Is(err, dbus.FormatError("input exceeds container depth limit")) // an empty dict as the 64th; see TestNesting
}

func FuzzBody(f *testing.F) {
	for _, b := range bodies {
		f.Add(b.sig, []byte(b.body), false)
	}
	for _, b := range nesting {
		if len(b.body) < 1000 {
			f.Add("v", []byte(b.body), false)
		}
	}
	f.Add(changed, unitChanged(f, binary.LittleEndian), false)
	f.Add(changed, unitChanged(f, binary.BigEndian), true)
	f.Fuzz(func(t *testing.T, sig string, body []byte, big bool) {
		order := binary.ByteOrder(binary.LittleEndian)
		if big {
			order = binary.BigEndian
		}
		ok := skips(sig, body, order)
		if len(sig) > 255 || endless(sig) || endless(string(body)) {
			return
		}
		values, err := decode(t, sig, body, order)
		if ok {
			compare(t, sig, body, order, values, err)
		}
		if err != nil || strings.Contains(sig+string(body), "a{v") {
			return
		}
		for i, s := range split(sig) {
			values[i] = typed(s, values[i]).Interface()
		}
		canonical, err := marshal(order, values[:len(split(sig))]...)
		if err == nil && !skips(sig, canonical, order) {
			t.Errorf("Skip(%q) refuses what godbus encodes: %q", sig, canonical)
		}
	})
}

// compare fails the test if godbus does not see a body that was accepted as
// this package does.
func compare(t *testing.T, sig string, body []byte, order binary.ByteOrder, values []any, err error) {
	t.Helper()
	if err != nil {
		if !stricter(err) {
			t.Errorf("Skip(%q) accepts %q, godbus does not: %v", sig, body, err)
		}
		return
	}
	// There is one way to marshal a value. So if what the Reader's methods return
	// marshals to the body that was read, every value of it is right.
	var got []any
	r := NewReader(body, order)
	for _, s := range split(sig) {
		got = append(got, read(&r, s).Interface())
	}
	again, err := marshal(order, got...)
	if err != nil || !r.Done() || !bytes.Equal(body, again) {
		t.Errorf("%s of body %q is read as %v, which is %q (Done() = %v, error %v)", sig, body, got, again, r.Done(), err)
	}
	if sig == changed {
		r = NewReader(body, order)
		got, want := readChanged(&r), changedOf(values)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("properties of %q (-want +got):\n%s", body, diff)
		}
	}
}

// endless reports whether a signature may be in s that godbus must not see.
func endless(s string) bool { return strings.Contains(s, "()") }

// split cuts a valid signature into its complete types.
func split(sig string) (types []string) {
	for len(sig) > 0 {
		n := single([]byte(sig), 0, 0)
		types, sig = append(types, sig[:n]), sig[n:]
	}
	return types
}

var goTypes = map[byte]reflect.Type{
	'y': reflect.TypeFor[byte](), 'b': reflect.TypeFor[bool](), 'n': reflect.TypeFor[int16](), 'q': reflect.TypeFor[uint16](),
	'i': reflect.TypeFor[int32](), 'u': reflect.TypeFor[uint32](), 'x': reflect.TypeFor[int64](), 't': reflect.TypeFor[uint64](),
	'd': reflect.TypeFor[float64](), 'h': reflect.TypeFor[dbus.UnixFDIndex](), 's': reflect.TypeFor[string](),
	'o': reflect.TypeFor[dbus.ObjectPath](), 'g': reflect.TypeFor[dbus.Signature](), 'v': reflect.TypeFor[dbus.Variant](),
}

// zero returns a value that godbus encodes as type sig. A dict is a slice of
// its entries, so that they keep their order and may have the same key.
func zero(sig string) reflect.Value {
	switch sig[0] {
	case 'a':
		return reflect.New(reflect.SliceOf(zero(sig[1:]).Type())).Elem()
	case '(', '{':
		var fields []reflect.StructField
		for i, s := range split(sig[1 : len(sig)-1]) {
			fields = append(fields, reflect.StructField{Name: fmt.Sprint("F", i), Type: zero(s).Type()})
		}
		return reflect.New(reflect.StructOf(fields)).Elem()
	}
	return reflect.New(goTypes[sig[0]]).Elem()
}

func variant(sig string, value reflect.Value) reflect.Value {
	return reflect.ValueOf(dbus.MakeVariantWithSignature(value.Interface(), dbus.ParseSignatureMust(sig)))
}

// read reads a value of type sig, which Skip has accepted.
func read(r *Reader, sig string) reflect.Value {
	v := zero(sig)
	switch sig[0] {
	case 'y':
		v.SetUint(uint64(r.Byte()))
	case 'b':
		v.SetBool(r.Uint32() == 1)
	case 'n', 'q':
		r.Align(2)
		n := r.order.Uint16([]byte{r.Byte(), r.Byte()})
		v.Set(reflect.ValueOf(n).Convert(v.Type()))
	case 'i':
		v.SetInt(int64(r.Int32()))
	case 'u', 'h':
		v.SetUint(uint64(r.Uint32()))
	case 'x':
		v.SetInt(int64(r.Uint64()))
	case 't':
		v.SetUint(r.Uint64())
	case 'd':
		v.SetFloat(math.Float64frombits(r.Uint64()))
	case 's', 'o':
		v.SetString(string(r.String()))
	case 'g':
		v.Set(reflect.ValueOf(dbus.ParseSignatureMust(string(r.Signature()))))
	case 'v':
		inner := string(r.Variant())
		v.Set(variant(inner, read(r, inner)))
	case 'a':
		if sig == "ay" {
			v.SetBytes(r.Bytes())
			break
		}
		for end := r.Array(alignment(sig[1])); r.More(end); {
			v.Set(reflect.Append(v, read(r, sig[1:])))
		}
	default:
		r.Align(8)
		for i, s := range split(sig[1 : len(sig)-1]) {
			v.Field(i).Set(read(r, s))
		}
	}
	return v
}

// typed returns what godbus has decoded as a value that it encodes as type sig
// again: it decodes a struct to a []any, but encodes that as an av.
func typed(sig string, value any) reflect.Value {
	v, from := zero(sig), reflect.ValueOf(value)
	switch {
	case sig[0] == 'v':
		inner := value.(dbus.Variant)
		v.Set(variant(inner.Signature().String(), typed(inner.Signature().String(), inner.Value())))
	case sig[0] == '(':
		for i, s := range split(sig[1 : len(sig)-1]) {
			v.Field(i).Set(typed(s, from.Index(i).Interface()))
		}
	case from.Kind() == reflect.Map:
		types := split(sig[2 : len(sig)-1])
		for key, val := range from.Seq2() {
			entry := zero(sig[1:])
			entry.Field(0).Set(typed(types[0], key.Interface()))
			entry.Field(1).Set(typed(types[1], val.Interface()))
			v.Set(reflect.Append(v, entry))
		}
	case sig[0] == 'a':
		for i := range from.Len() {
			v.Set(reflect.Append(v, typed(sig[1:], from.Index(i).Interface())))
		}
	default:
		v.Set(from)
	}
	return v
}

// changed is the signature of a PropertiesChanged.
const changed = "sa{sv}as"

type propertiesChanged struct {
	Interface   string
	Properties  map[string]any // by name; "skipped" if of a type that a decoder skips
	Invalidated []string
}

func readChanged(r *Reader) propertiesChanged {
	c := propertiesChanged{Interface: string(r.String()), Properties: map[string]any{}}
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		name, sig := string(r.String()), r.Variant()
		switch string(sig) {
		case "s", "o":
			c.Properties[name] = string(r.String())
		case "i":
			c.Properties[name] = r.Int32()
		case "u":
			c.Properties[name] = r.Uint32()
		case "t":
			c.Properties[name] = r.Uint64()
		case "ay":
			c.Properties[name] = string(r.Bytes())
		default:
			r.Skip(sig)
			c.Properties[name] = "skipped"
		}
	}
	for end := r.Array(4); r.More(end); {
		c.Invalidated = append(c.Invalidated, string(r.String()))
	}
	return c
}

// changedOf returns the same of what godbus has decoded.
func changedOf(values []any) propertiesChanged {
	c := propertiesChanged{Interface: values[0].(string), Properties: map[string]any{}}
	c.Invalidated = append(c.Invalidated, values[2].([]string)...) // nil if there are none
	for name, v := range values[1].(map[string]dbus.Variant) {
		switch v := v.Value().(type) {
		case string, int32, uint32, uint64:
			c.Properties[name] = v
		case dbus.ObjectPath:
			c.Properties[name] = string(v)
		case []byte:
			c.Properties[name] = string(v)
		default:
			c.Properties[name] = "skipped"
		}
	}
	return c
}

// FuzzHeader compares whole messages.
func FuzzHeader(f *testing.F) {
	for _, order := range orders {
		body := unitChanged(f, order)
		f.Add(append(header(f, order, Signal, 1, uint32(len(body)), signal...), body...))
		f.Add(header(f, order, Signal, 1, 0, path, iface, member))
		f.Add(header(f, order, Signal, 1, 0, path, iface, member, field{10, dbus.MakeVariant([]string{"x"})}))
		f.Add(header(f, order, Signal, 0, 0, path, iface, member, path))
		f.Add(header(f, order, MethodReply, 1, 0, answer, sender))
		f.Add(header(f, order, Error, 1, 0, answer, failed, sender))
		f.Add(header(f, order, MethodCall, 1, 0, path, member))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, h, ok := parse(b)
		if endless(string(b)) {
			return
		}
		msg, err := dbus.DecodeMessage(bytes.NewReader(b))
		if ok && p.Type == Signal && skips(string(h.Signature), b[p.Header:p.Header+p.Body], p.Order) {
			compareHeaders(t, b, h, msg, err)
		}
		if err != nil {
			return
		}
		// What godbus encodes, this package accepts. (The body is FuzzBody's.)
		msg.Body = nil
		var again bytes.Buffer
		if err := msg.EncodeTo(&again, binary.LittleEndian); err != nil || msg.Serial() == 0 {
			return
		}
		if _, h, ok = parse(again.Bytes()); !ok {
			t.Fatalf("refused, but godbus encodes it: %q", again.Bytes())
		}
		compareHeaders(t, again.Bytes(), h, msg, nil)
	})
}

// parse reads the header of a message that is there to its end.
func parse(b []byte) (p Prefix, h Header, ok bool) {
	p, err := ParsePrefix(b)
	if err != nil || len(b) < p.Header+p.Body {
		return p, h, false
	}
	h, err = ParseHeader(b[:p.Header], p)
	return p, h, err == nil
}

func compareHeaders(t *testing.T, b []byte, got Header, msg *dbus.Message, err error) {
	t.Helper()
	switch err {
	case dbus.InvalidMessageError("invalid flags"), dbus.InvalidMessageError("invalid header"),
		dbus.InvalidMessageError("invalid interface name"), dbus.InvalidMessageError("invalid member name"),
		dbus.InvalidMessageError("invalid error name"):
		return
	}
	if err != nil {
		if !stricter(err) {
			t.Errorf("accepted: %q; godbus does not: %v", b, err)
		}
		return
	}
	var want Header
	for f, v := range msg.Headers {
		want.put(f, v)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header %q (-want +got):\n%s", b, diff)
	}
}
