package publish

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/godbus/dbus/v5"

	"service-monitor/test/fakebus"
)

// serve answers calls until the connection is closed.
func (s *Systemd) serve(in *bufio.Reader) {
	defer close(s.closed)
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if m.Type == dbus.TypeMethodCall && s.answer(m) != nil {
			return
		}
	}
}

// answer answers only what clients ask at their start.
func (s *Systemd) answer(m *dbus.Message) error {
	member, path := field(m, dbus.FieldMember), field(m, dbus.FieldPath)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch u := s.byPath[path]; {
	case member == "GetAll" && u != nil:
		return s.reply(m, "a{sv}", s.prefix.of(u))
	case member == "Subscribe" || member == "Ping":
		return s.reply(m, "", nil)
	case member == "ListUnits":
		return s.reply(m, "a(ssssssouso)", s.list())
	}
	return s.refuse(m)
}

// list returns the body of the reply to ListUnits.
func (s *Systemd) list() []byte {
	type row struct {
		Name, Description, LoadState, ActiveState, SubState, Following string
		Path                                                           dbus.ObjectPath
		JobID                                                          uint32
		JobType                                                        string
		JobPath                                                        dbus.ObjectPath
	}
	rows := make([]row, 0, len(s.units))
	for _, u := range s.units {
		rows = append(rows, row{u.name, u.name, "loaded", u.state, u.sub, "", dbus.ObjectPath(fakebus.Path(u.name)), 0, "", "/"})
	}
	return fakebus.Body(rows)
}

func (s *Systemd) reply(to *dbus.Message, signature string, body []byte) error {
	m := dbus.Message{Type: dbus.TypeMethodReply, Headers: replyTo(to)}
	if signature != "" {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.ParseSignatureMust(signature))
	}
	return s.send(&m, 1<<31, body)
}

func (s *Systemd) refuse(to *dbus.Message) error {
	m := dbus.Message{Type: dbus.TypeError, Headers: replyTo(to)}
	m.Headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.DBus.Error.UnknownMethod")
	return s.send(&m, 1<<31, nil)
}

func replyTo(m *dbus.Message) map[dbus.HeaderField]dbus.Variant {
	return map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()), dbus.FieldDestination: m.Headers[dbus.FieldSender],
	}
}

func field(m *dbus.Message, f dbus.HeaderField) string { return fmt.Sprint(m.Headers[f].Value()) }

// send sends a message. Its body is marshaled already, or nil.
func (s *Systemd) send(m *dbus.Message, serial uint32, body []byte) error {
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b.Bytes()[8:], serial)
	if body != nil {
		binary.LittleEndian.PutUint32(b.Bytes()[4:], uint32(len(body)))
		b.Write(body)
	}
	_, err := s.socket.Write(b.Bytes())
	return err
}
