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
	"testing"

	"github.com/godbus/dbus/v5"
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
