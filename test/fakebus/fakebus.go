// Package fakebus is a fake system bus with a fake systemd on it. It sends real
// D-Bus frames on a real socket, and the test decides their order and content.
// Tests use it if a real systemd cannot be made to do something (lie, stall,
// refuse), and to play recordings of a real one.
package fakebus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus"
)

// Names on the fake bus.
const (
	PID1    = ":1.0"
	client  = ":1.7"
	busName = "org.freedesktop.DBus"
	systemd = "org.freedesktop.systemd1"
)

// A Reply is the answer to a call. It is a body with its signature, or the name
// of an error. If None is set, the call gets no answer.
type Reply struct {
	Signature string
	Body      []byte
	Error     string
	None      bool
}

// A Bus is a listening bus.
type Bus struct {
	// Address is for DBUS_SYSTEM_BUS_ADDRESS.
	Address string

	listener  net.Listener
	calls     chan string
	mu        sync.Mutex
	snapshots map[string][]byte // by object path
	replies   map[string]Reply  // by method
	held      map[string]hold   // by method
	owner     string            // of the name of systemd
	conn      net.Conn
	serial    uint32
}

// Start returns a bus that ends with the test.
func Start(t testing.TB) *Bus {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bus{
		Address: "unix:path=" + path, listener: listener, calls: make(chan string, 100_000),
		snapshots: map[string][]byte{}, replies: map[string]Reply{}, held: map[string]hold{}, owner: PID1,
	}
	done := make(chan struct{})
	go func() { defer close(done); b.serve() }()
	t.Cleanup(func() {
		listener.Close()
		b.Drop()
		<-done
	})
	return b
}

// serve serves one client at a time.
func (b *Bus) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conn = conn
		b.mu.Unlock()
		b.talk(conn)
		conn.Close()
	}
}

// Drop closes the client's connection, as a restart of the bus does.
func (b *Bus) Drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
	}
}

// Reply replaces the reply of a method from now on.
func (b *Bus) Reply(member string, r Reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies[member] = r
}

// Hold delays the answer to the next call of a method, and to all calls after it.
// made is closed when the client has made that call. release ends the delay.
func (b *Bus) Hold(member string) (made <-chan struct{}, release func()) {
	h := hold{make(chan struct{}), make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[member] = h
	return h.made, sync.OnceFunc(func() { close(h.over) })
}

type hold struct{ made, over chan struct{} }

// wait returns when a call may be answered.
func (b *Bus) wait(member string) {
	b.mu.Lock()
	h, ok := b.held[member]
	delete(b.held, member)
	b.mu.Unlock()
	if ok {
		close(h.made)
		<-h.over
	}
}

// Snapshot sets the reply to GetAll for a unit. The body is an a{sv}. A unit
// without a snapshot has the load state not-found.
func (b *Bus) Snapshot(unit string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.snapshots[Path(unit)] = body
}

// Called returns the next call of the client as "Member argument".
func (b *Bus) Called() string { return <-b.calls }

// Await waits until the client makes this call, and drops all calls before it.
func (b *Bus) Await(call string) {
	for b.Called() != call {
	}
}

func (b *Bus) talk(conn net.Conn) {
	in := bufio.NewReader(conn)
	if authenticate(in, conn) != nil {
		return
	}
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		member := text(m, dbus.FieldMember)
		b.wait(member)
		b.answer(m, member)
		call := member
		if len(m.Body) > 0 {
			call = fmt.Sprintf("%s %v", member, m.Body[0])
		}
		if member == "GetAll" {
			call = member + " " + text(m, dbus.FieldPath)
		}
		b.calls <- call
	}
}

func text(m *dbus.Message, field dbus.HeaderField) string {
	return fmt.Sprint(m.Headers[field].Value())
}

// authenticate is the server's side of the D-Bus authentication protocol.
func authenticate(in *bufio.Reader, out io.Writer) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		reply := "ERROR\r\n"
		switch line = strings.TrimLeft(strings.TrimSpace(line), "\x00"); {
		case line == "BEGIN":
			return nil
		case line == "AUTH":
			reply = "REJECTED EXTERNAL\r\n"
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			reply = "OK 0123456789abcdef0123456789abcdef\r\n"
		}
		if _, err := io.WriteString(out, reply); err != nil {
			return err
		}
	}
}

func (b *Bus) answer(m *dbus.Message, member string) {
	reply, owner := b.reply(m, member)
	if reply.None {
		return
	}
	sender := busName
	if text(m, dbus.FieldDestination) == systemd {
		sender = owner
	}
	b.SayReply(sender, m.Serial(), reply)
}

// SayReply sends a reply to a call, under any sender's name.
func (b *Bus) SayReply(sender string, serial uint32, reply Reply) error {
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(serial), dbus.FieldSender: dbus.MakeVariant(sender),
		dbus.FieldDestination: dbus.MakeVariant(client),
	}
	kind := dbus.TypeMethodReply
	if reply.Error != "" {
		kind = dbus.TypeError
		headers[dbus.FieldErrorName] = dbus.MakeVariant(reply.Error)
	}
	return b.send(kind, headers, reply.Signature, reply.Body, binary.LittleEndian)
}

func (b *Bus) reply(m *dbus.Message, member string) (reply Reply, owner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reply, ok := b.replies[member]; ok {
		return reply, b.owner
	}
	return b.usual(m, member), b.owner
}

// usual is the default reply, if the test has set no other.
func (b *Bus) usual(m *dbus.Message, member string) Reply {
	switch member {
	case "Hello":
		return Reply{Signature: "s", Body: Body(client)}
	case "GetNameOwner":
		return Reply{Signature: "s", Body: Body(b.owner)}
	case "GetAll":
		if body, ok := b.snapshots[text(m, dbus.FieldPath)]; ok {
			return Reply{Signature: "a{sv}", Body: body}
		}
		return Reply{Signature: "a{sv}", Body: Body(map[string]dbus.Variant{
			"LoadState": dbus.MakeVariant("not-found"), "ActiveState": dbus.MakeVariant("inactive"), "SubState": dbus.MakeVariant("dead"),
		})}
	}
	return Reply{}
}

// Path is the object path of a unit, by go-systemd.
func Path(unit string) string { return "/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(unit) }

// Body marshals values.
func Body(values ...any) []byte {
	m := dbus.Message{Type: dbus.TypeMethodReply, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(uint32(1)), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(values...)),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		panic(err) // a test's own mistake
	}
	return b.Bytes()[b.Len()-int(binary.LittleEndian.Uint32(b.Bytes()[4:])):]
}

// Play sends recorded changes, in order.
func (b *Bus) Play(signals ...bus.Signal) error {
	for _, s := range signals {
		if s.Kind != bus.Changed {
			return fmt.Errorf("cannot play a signal of kind %d", s.Kind)
		}
		if err := b.Say(PID1, Path(s.Unit), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", s.Body, s.Order); err != nil {
			return err
		}
	}
	return nil
}

// NewOwner announces that PID 1 owns the name of systemd (again).
func (b *Bus) NewOwner(owner string) error {
	b.mu.Lock()
	b.owner = owner
	b.mu.Unlock()
	return b.Say(busName, "/org/freedesktop/DBus", busName, "NameOwnerChanged", "sss", Body(systemd, "", owner), binary.LittleEndian)
}

// DaemonReload announces that PID 1 has reloaded its unit files.
func (b *Bus) DaemonReload() error {
	return b.Say(PID1, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Reloading", "b", Body(false), binary.LittleEndian)
}

// Forget forgets the calls that the client has made.
func (b *Bus) Forget() {
	for len(b.calls) > 0 {
		<-b.calls
	}
}

// Say sends any signal, under any sender's name.
func (b *Bus) Say(sender, path, iface, member, signature string, body []byte, order binary.ByteOrder) error {
	return b.send(dbus.TypeSignal, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldSender: dbus.MakeVariant(sender), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(path)),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
	}, signature, body, order)
}

// send writes one message. Its body is already marshaled.
func (b *Bus) send(kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, signature string, body []byte, order binary.ByteOrder) error {
	if signature != "" {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.ParseSignatureMust(signature))
	}
	var frame bytes.Buffer
	m := dbus.Message{Type: kind, Headers: headers}
	if err := m.EncodeTo(&frame, order); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return errors.New("no client")
	}
	b.serial++
	order.PutUint32(frame.Bytes()[4:], uint32(len(body)))
	order.PutUint32(frame.Bytes()[8:], b.serial)
	frame.Write(body)
	_, err := b.conn.Write(frame.Bytes())
	return err
}

// SendRaw writes any bytes, even if they are no valid message.
func (b *Bus) SendRaw(frame []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.conn.Write(frame)
	return err
}
