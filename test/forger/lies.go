package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// An attack is a series of messages that is sent again and again. They go to a
// target and are about a unit. self is the name of the connection that sends them.
type attack struct {
	lies   func(self, target, unit string) [][]byte
	dammed bool // the last byte of each message is held back until all connections have sent the rest of theirs
}

var attacks = map[string]attack{
	"broadcast": {lies: func(_, _, unit string) [][]byte { return crash(headers{}, unit) }},
	"unicast":   {lies: unicast},
	"types":     {lies: types},
	"malformed": {lies: malformed},
	"huge":      {lies: huge},
	"dam":       {lies: huge, dammed: true},
	"replies":   {lies: replies},
	"calls":     {lies: calls},
}

const (
	systemd    = "org.freedesktop.systemd1"
	properties = busName + ".Properties"
)

type headers map[dbus.HeaderField]any

// with returns the headers and more.
func (h headers) with(more headers) headers {
	all := headers{}
	for _, some := range []headers{h, more} {
		for field, value := range some {
			all[field] = value
		}
	}
	return all
}

func frame(kind dbus.Type, h headers, body ...any) []byte {
	return encode(binary.LittleEndian, kind, h, body...)
}

func encode(order binary.ByteOrder, kind dbus.Type, h headers, body ...any) []byte {
	m := dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: body}
	for field, value := range h {
		m.Headers[field] = dbus.MakeVariant(value)
	}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		panic(err) // a mistake in one of the tables here
	}
	order.PutUint32(b.Bytes()[8:], 1) // any serial will do, because no reply is awaited
	return b.Bytes()
}

func to(target string) headers { return headers{dbus.FieldDestination: target} }

// change returns h with the headers of a change of a unit.
func change(h headers, unit string) headers {
	return h.with(headers{
		dbus.FieldPath:      dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(unit)),
		dbus.FieldInterface: properties, dbus.FieldMember: "PropertiesChanged",
	})
}

type dict map[string]any

func (d dict) variants() map[string]dbus.Variant {
	v := map[string]dbus.Variant{}
	for name, value := range d {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

func unitHalf(h headers, unit, active, sub string, invocation []byte) []byte {
	return frame(dbus.TypeSignal, change(h, unit), systemd+".Unit", dict{
		"ActiveState": active, "SubState": sub, "InvocationID": invocation,
		"StateChangeTimestampMonotonic": uint64(1e12), "ConditionResult": true, "FreezerState": "running",
		"Job": struct {
			ID   uint32
			Path dbus.ObjectPath
		}{0, "/"},
	}.variants(), []string{"Conditions", "Asserts"})
}

func serviceHalf(h headers, unit, result string, restarts uint32, code, status int32) []byte {
	return frame(dbus.TypeSignal, change(h, unit), systemd+".Service", dict{
		"Result": result, "NRestarts": restarts, "ExecMainCode": code, "ExecMainStatus": status,
		"MainPID": uint32(0), "ExecMainPID": uint32(4711), "StatusText": "", "UID": uint32(0),
	}.variants(), []string{"ExecStart"})
}

// crash returns the signals of a unit that starts, crashes and is restarted, many
// times. Each run has its own invocation id.
func crash(h headers, unit string) [][]byte {
	var lies [][]byte
	for run := range byte(50) {
		id := append([]byte("forged for a "), 'r', 'u', run)
		lies = append(lies,
			serviceHalf(h, unit, "success", uint32(run), 0, 0),
			unitHalf(h, unit, "inactive", "dead", id),
			unitHalf(h, unit, "active", "running", id),
			serviceHalf(h, unit, "signal", uint32(run), 2, 11),
			unitHalf(h, unit, "failed", "failed", id),
			unitHalf(h, unit, "activating", "auto-restart", id),
		)
	}
	return lies
}

// unicast returns lies that go directly to the target, because match rules do not
// filter those. Some also forge the sender, and some claim to come from the manager or the bus.
func unicast(self, target, unit string) [][]byte {
	lies := crash(to(target), unit)
	for _, sender := range []string{systemd, busName, ":1.0", ":1.1", target} {
		lies = append(lies, crash(to(target).with(headers{dbus.FieldSender: sender}), unit)[:6]...)
	}
	manager := to(target).with(headers{dbus.FieldPath: dbus.ObjectPath("/org/freedesktop/systemd1"), dbus.FieldInterface: systemd + ".Manager"})
	bus := to(target).with(headers{dbus.FieldPath: busPath, dbus.FieldInterface: busName})
	return append(lies,
		frame(dbus.TypeSignal, manager.with(headers{dbus.FieldMember: "Reloading"}), true),
		frame(dbus.TypeSignal, manager.with(headers{dbus.FieldMember: "Reloading"}), false),
		frame(dbus.TypeSignal, manager.with(headers{dbus.FieldMember: "UnitRemoved"}), unit, dbus.ObjectPath("/")),
		frame(dbus.TypeSignal, bus.with(headers{dbus.FieldMember: "NameOwnerChanged"}), systemd, ":1.0", ""),
		frame(dbus.TypeSignal, bus.with(headers{dbus.FieldMember: "NameOwnerChanged"}), systemd, "", self),
		frame(dbus.TypeSignal, bus.with(headers{dbus.FieldMember: "NameOwnerChanged", dbus.FieldSender: busName}), systemd, "", self),
		frame(dbus.TypeSignal, bus.with(headers{dbus.FieldMember: "NameLost"}), target),
	)
}

// deep wraps a value in n nested variants.
func deep(n int, value any) dbus.Variant {
	v := dbus.MakeVariant(value)
	for range n {
		v = dbus.MakeVariant(v)
	}
	return v
}

// types returns messages that are well-formed D-Bus but no valid change of a unit.
func types(_, target, unit string) [][]byte {
	changed := change(to(target), unit)
	state := func(name string, value any) []byte {
		return frame(dbus.TypeSignal, changed, systemd+".Unit", dict{name: value}.variants(), []string{})
	}
	many := dict{}
	for i := range 5000 {
		many[fmt.Sprintf("Property%d", i)] = uint64(i)
	}
	return [][]byte{
		state("ActiveState", uint32(1)),
		state("ActiveState", []string{"failed"}),
		state("ActiveState", deep(1, "failed")),
		state("ActiveState", strings.Repeat("failed ", 10000)),
		state("InvocationID", []byte{1, 2, 3}),
		state("InvocationID", "0123456789abcdef"),
		state("InvocationID", make([]byte, 100_000)),
		state("InvocationID", make([]uint64, 2)),
		state("NRestarts", "7"),
		state("NRestarts", uint64(1)<<63),
		state("Filler", deep(50, "failed")),
		state("Filler", [][][][]string{{{{}}, {}}, {}}),
		state("Filler", make([]struct{ A []struct{ B byte } }, 5000)),
		state("Filler", strings.Repeat("x", 1<<20)),
		state(strings.Repeat("ActiveState", 1000), "failed"),
		state("", ""),
		frame(dbus.TypeSignal, changed, systemd+".Unit", many.variants(), []string{}),
		frame(dbus.TypeSignal, changed, systemd+".Unit", dict{}.variants(), make([]string, 5000)),
		frame(dbus.TypeSignal, changed),
		frame(dbus.TypeSignal, changed, systemd+".Unit"),
		frame(dbus.TypeSignal, changed, systemd+".Unit", map[string]string{"ActiveState": "failed"}, []string{}),
		frame(dbus.TypeSignal, changed, uint32(0), dict{"ActiveState": "failed"}.variants(), []string{}),
		frame(dbus.TypeSignal, changed, deep(20, dict{"ActiveState": "failed"}.variants())),
		encode(binary.BigEndian, dbus.TypeSignal, changed, systemd+".Unit", dict{"ActiveState": "failed"}.variants(), []string{}),
		frame(dbus.TypeSignal, changed.with(headers{dbus.FieldPath: dbus.ObjectPath("/" + strings.Repeat("x", 100_000))}), "x"),
		frame(dbus.TypeSignal, changed.with(headers{dbus.FieldPath: dbus.ObjectPath(strings.Repeat("/x", 5_000))}), "x"),
		edited(unitHalf(to(target), unit, "failed", "failed", []byte("0123456789abcdef")), 1, 17), // an unknown type of message
		edited(unitHalf(to(target), unit, "failed", "failed", []byte("0123456789abcdef")), 2, 0xff),
	}
}

// edited replaces one byte of a frame. A negative index counts from the end.
func edited(frame []byte, at int, b byte) []byte {
	if at < 0 {
		at += len(frame)
	}
	frame[at] = b
	return frame
}

// malformed returns broken messages, each after two valid ones. The bus closes a
// connection on which a broken message comes.
func malformed(_, target, unit string) [][]byte {
	h := to(target)
	failed := func() []byte { return unitHalf(h, unit, "failed", "failed", []byte("0123456789abcdef")) }
	all := [][]byte{
		edited(failed(), -1, 'x'),  // the last string does not end
		edited(failed(), -3, 0xff), // and is not UTF-8
		edited(failed(), 0, 'X'),   // no byte order
		edited(failed(), 1, 0),     // no type
		edited(failed(), 3, 2),     // no version of the protocol
		edited(failed(), 7, 0x7f),  // a body of 2 GB
		edited(failed(), 15, 0x7f), // a header of 2 GB
		edited(failed(), 6, 1),     // a body that seems 64 KB longer, so the next message becomes part of it
		edited(failed(), 4, 8),     // a body that seems shorter, so its rest becomes the next message
		edited(failed(), 16, 99),   // an unknown field
		[]byte(strings.Repeat("\x00garbage", 100)),
		frame(dbus.TypeSignal, change(h, unit).with(headers{dbus.FieldInterface: busName + ".Local"})),
		edited(frame(dbus.TypeSignal, change(h, unit), true), -4, 2), // neither true nor false
	}
	var lies [][]byte
	for _, bad := range all {
		lies = append(lies, failed(), failed(), bad)
	}
	return lies
}

// huge returns lies of about 32 MB, the longest message that the bus accepts.
func huge(_, target, unit string) [][]byte {
	const size = 32<<20 - 1000
	changed := change(to(target), unit)
	return [][]byte{
		long(frame(dbus.TypeSignal, changed, ""), size),
		long(frame(dbus.TypeSignal, changed, []byte{}), size),
		frame(dbus.TypeSignal, changed.with(headers{dbus.FieldPath: dbus.ObjectPath("/" + strings.Repeat("x", size))})),
	}
}

// long fills the body of a frame, an empty string or array, with size bytes. It
// patches the frame because marshaling by reflection would take seconds.
func long(frame []byte, size int) []byte {
	body := binary.LittleEndian.Uint32(frame[4:])
	binary.LittleEndian.PutUint32(frame[4:], body+uint32(size))
	n := len(frame) - int(body)
	binary.LittleEndian.PutUint32(frame[n:], uint32(size))
	return slices.Concat(frame[:n+4], bytes.Repeat([]byte{'x'}, size), frame[n+4:])
}

// firstSerial is roughly the first serial of the target's own calls.
const firstSerial = 1 << 31

// replies returns forged replies to calls that the target may have made.
func replies(self, target, unit string) [][]byte {
	var lies [][]byte
	for _, first := range []uint32{0, firstSerial} {
		for serial := first + 1; serial < first+100; serial++ {
			h := to(target).with(headers{dbus.FieldReplySerial: serial})
			failed := h.with(headers{dbus.FieldErrorName: busName + ".Error.Failed"})
			nobody := h.with(headers{dbus.FieldErrorName: busName + ".Error.NoReply"})
			lies = append(lies,
				frame(dbus.TypeMethodReply, h, self), // to GetNameOwner
				frame(dbus.TypeMethodReply, h, dict{"ActiveState": "failed", "SubState": "failed", "Id": unit}.variants()),
				frame(dbus.TypeMethodReply, h, deep(60, "x")),
				frame(dbus.TypeError, failed, "no more of this"),
				frame(dbus.TypeError, nobody),
			)
		}
	}
	return append(lies, crash(to(target), unit)...)
}

// calls returns method calls. The target has no methods.
func calls(_, target, unit string) [][]byte {
	call := func(path, iface, member string, args ...any) []byte {
		return frame(dbus.TypeMethodCall, to(target).with(headers{
			dbus.FieldPath: dbus.ObjectPath(path), dbus.FieldInterface: iface, dbus.FieldMember: member,
		}), args...)
	}
	return [][]byte{
		call("/", busName+".Peer", "Ping"),
		call("/", busName+".Introspectable", "Introspect"),
		call("/org/freedesktop/systemd1", systemd+".Manager", "Subscribe"),
		call("/org/freedesktop/systemd1", properties, "GetAll", ""),
		call("/org/freedesktop/systemd1", properties, "PropertiesChanged", systemd+".Unit", dict{"ActiveState": "failed"}.variants(), []string{}),
		call("/org/freedesktop/systemd1", properties, "Set", unit, strings.Repeat("x", 1<<16)),
		edited(call("/", busName+".Peer", "Ping"), 2, byte(dbus.FlagNoReplyExpected)),
	}
}
