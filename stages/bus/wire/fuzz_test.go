package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

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
