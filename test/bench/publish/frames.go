// Package publish is a systemd that only publishes. It owns systemd's name on a bus, and announces
// restarts of services as fast as the bus takes them. It sends the bytes that a real systemd sent.
// It also answers what a client asks at its start.
package publish

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus"
	"service-monitor/stages/bus/wire"
	"service-monitor/test/fakebus"
	"service-monitor/test/recording"
)

const (
	unitInterface = "org.freedesktop.systemd1.Unit"
	properties    = "org.freedesktop.DBus.Properties"
)

// A step is one recorded signal of a restart.
type step struct {
	body       []byte
	unitHalf   bool
	changes    bool   // ActiveState changes
	begins     bool   // a new invocation begins here
	state, sub string // those in a Unit half
	invocation int    // its offset in the body
	entered    int    // the offset of StateChangeTimestampMonotonic
}

// A Script is the restart of a service as a real systemd announced it: pairs of
// a Service half and a Unit half, from running to running.
type Script struct {
	steps    []step
	snapshot map[string]dbus.Variant // of the reply to GetAll
}

// Load takes the script out of a recording of a restart of a running service.
func Load(path string) (*Script, error) {
	r, err := recording.Load(path)
	if err != nil {
		return nil, err
	}
	s := &Script{}
	for _, signal := range r.Signals {
		switch {
		case signal.Kind == bus.Snapshot && s.snapshot == nil:
			s.snapshot, err = decode(signal.Body)
		case signal.Kind == bus.Changed:
			var one step
			one, err = newStep(signal.Body)
			s.steps = append(s.steps, one)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use %s: %w", path, err)
		}
	}
	return s, s.cut()
}

// cut keeps only the restart, and marks what changes in it. The restart begins after the service
// first runs with no job left.
func (s *Script) cut() error {
	from := -1
	for i, st := range s.steps {
		if st.unitHalf && st.state == "active" && len(st.body) == len(s.steps[len(s.steps)-1].body) {
			from = i + 1
			break
		}
	}
	if from < 1 || from >= len(s.steps) || s.snapshot == nil {
		return errors.New("the recording is not of a restart")
	}
	state, invocation := "active", s.steps[from-1].id()
	s.steps = s.steps[from:]
	for i := range s.steps {
		st := &s.steps[i]
		if !st.unitHalf {
			continue
		}
		st.changes, st.begins = st.state != state, !bytes.Equal(st.id(), invocation)
		state, invocation = st.state, st.id()
	}
	return nil
}

func (st *step) id() []byte { return st.body[st.invocation:][:16] }

// newStep finds what is to be patched in a body.
func newStep(body []byte) (step, error) {
	st := step{body: body}
	r := wire.NewReader(body, binary.LittleEndian)
	st.unitHalf = string(r.String()) == unitInterface
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		switch key, sig := string(r.String()), r.Variant(); {
		case key == "ActiveState":
			st.state = string(r.String())
		case key == "SubState":
			st.sub = string(r.String())
		case key == "InvocationID":
			id := r.Bytes()
			st.invocation = bytes.Index(body, id)
		case key == "StateChangeTimestampMonotonic":
			r.Uint64()
			st.entered = behind(body, key)
		default:
			r.Skip(sig)
		}
	}
	if st.unitHalf && (st.invocation <= 0 || st.entered <= 0) || r.Err() != nil {
		return st, fmt.Errorf("cannot understand a body of %d bytes (%v)", len(body), r.Err())
	}
	return st, nil
}

// behind returns the offset of the value of a property of type t. The value follows the name, its
// final NUL and the signature, at a multiple of 8.
func behind(body []byte, key string) int {
	return (bytes.Index(body, append([]byte(key), 0)) + len(key) + 1 + len("\x01t\x00") + 7) &^ 7
}

// decode reads an a{sv} with godbus.
func decode(body []byte) (map[string]dbus.Variant, error) {
	m := dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldMember: dbus.MakeVariant("C"), dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("a{sv}")),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(b.Bytes()[4:], uint32(len(body)))
	b.Write(body)
	full, err := dbus.DecodeMessage(&b)
	if err != nil {
		return nil, err
	}
	all := map[string]dbus.Variant{}
	return all, dbus.Store(full.Body, &all)
}

// header marshals the header of a PropertiesChanged. The length of the body and the serial are
// patched later.
func header(unit string) []byte {
	m := dbus.Message{Type: dbus.TypeSignal, Flags: dbus.FlagNoReplyExpected, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(fakebus.Path(unit))),
		dbus.FieldInterface: dbus.MakeVariant(properties), dbus.FieldMember: dbus.MakeVariant("PropertiesChanged"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("sa{sv}as")),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		panic(err) // the name is no valid name of a unit
	}
	return b.Bytes()
}
