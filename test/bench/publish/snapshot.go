package publish

import (
	"encoding/binary"
	"maps"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/journald/records"
	"service-monitor/test/fakebus"
)

// A prefix is the part of the reply to GetAll that is the same for all units. The properties of a map
// have no order, so those that differ can come last.
type prefix []byte

func newPrefix(snapshot map[string]dbus.Variant) prefix {
	same := maps.Clone(snapshot)
	for _, key := range []string{"Id", "Names", "ActiveState", "SubState", "InvocationID", "StateChangeTimestampMonotonic"} {
		delete(same, key)
	}
	same["LoadState"] = dbus.MakeVariant("loaded")
	// godbus has read the struct as a list, and would write it as a list.
	same["Job"] = dbus.MakeVariant(struct {
		ID   uint32
		Path dbus.ObjectPath
	}{0, "/"})
	return fakebus.Body(same)
}

// of returns the reply for one unit.
func (p prefix) of(u *service) []byte {
	b := append([]byte(nil), p...)
	b = text(entry(b, "Id", "s"), u.name)
	b = text(entry(b, "ActiveState", "s"), u.state)
	b = text(entry(b, "SubState", "s"), u.sub)
	b = entry(b, "InvocationID", "ay")
	if u.invocation == (records.Invocation{}) {
		b = binary.LittleEndian.AppendUint32(align(b, 4), 0)
	} else {
		b = append(binary.LittleEndian.AppendUint32(align(b, 4), uint32(len(u.invocation))), u.invocation[:]...)
	}
	b = entry(b, "StateChangeTimestampMonotonic", "t")
	b = binary.LittleEndian.AppendUint64(align(b, 8), u.entered)
	const before = 8 // the length, and padding up to the first entry
	binary.LittleEndian.PutUint32(b, uint32(len(b)-before))
	return b
}

// entry appends a key and the signature of its value.
func entry(b []byte, key, signature string) []byte {
	b = text(align(b, 8), key)
	b = append(b, byte(len(signature)))
	return append(append(b, signature...), 0)
}

func text(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(align(b, 4), uint32(len(s)))
	return append(append(b, s...), 0)
}

func align(b []byte, n int) []byte {
	for len(b)%n != 0 {
		b = append(b, 0)
	}
	return b
}
