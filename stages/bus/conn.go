package bus

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus/wire"
)

// Names of D-Bus and of systemd on it (org.freedesktop.systemd1(5)).
const (
	busName          = "org.freedesktop.DBus"
	properties       = "org.freedesktop.DBus.Properties"
	systemd          = "org.freedesktop.systemd1"
	managerPath      = "/org/freedesktop/systemd1"
	managerInterface = "org.freedesktop.systemd1.Manager"
	managerError     = "org.freedesktop.systemd1."
)

const (
	defaultAddress = "unix:path=/run/dbus/system_bus_socket"
	openLimit      = 10 * time.Second // for connecting and authenticating
	writeLimit     = 5 * time.Second  // for a request to fit into the socket
	readBuffer     = 64 << 10
	maxHeader      = 16 << 10 // a longer header is refused unread
	maxBody        = 1 << 20  // likewise a longer body of a signal
	maxReply       = 16 << 20 // and of a reply
	// firstSerial is where the serials of our own requests begin. godbus counts
	// up from 1 and does not get there.
	firstSerial = 1 << 31
)

// conn is one connection to the system bus. godbus makes it: it authenticates
// and says Hello. Then conn, which sits between godbus and the socket, takes
// signals and the replies to its own requests off the stream, in the order in
// which the bus sent them, and puts them into the backlog. That order is what
// makes a snapshot comparable with the signals around it.
type conn struct {
	bus     *dbus.Conn
	socket  net.Conn
	writing sync.Mutex
	begun   atomic.Bool // authenticated: messages from here on
	in      *bufio.Reader
	pass    int // bytes that are still godbus's of the message being read
	serial  uint32
	owner   []byte // unique name of PID 1, known to the reading goroutine alone
	backlog *backlog
	watch   *atomic.Pointer[watch]
	refused *atomic.Uint64
}

// address returns the network and address of the system bus.
func address() (network, addr string, err error) {
	list := cmp.Or(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), defaultAddress)
	for entry := range strings.SplitSeq(list, ";") {
		kind, params, _ := strings.Cut(entry, ":")
		for param := range strings.SplitSeq(params, ",") {
			key, value, _ := strings.Cut(param, "=")
			value, err := url.PathUnescape(value)
			switch {
			case err != nil || kind != "unix":
			case key == "path":
				return "unix", value, nil
			case key == "abstract":
				return "unix", "@" + value, nil
			}
		}
	}
	return "", "", fmt.Errorf("cannot use DBUS_SYSTEM_BUS_ADDRESS=%q: it names no unix socket", list)
}

// open connects and authenticates. It blocks, for openLimit at most.
func (c *conn) open() error {
	network, addr, err := address()
	if err != nil {
		return err
	}
	c.socket, err = net.DialTimeout(network, addr, openLimit)
	if err != nil {
		return fmt.Errorf("cannot connect to the system bus: %w", err)
	}
	c.in = bufio.NewReaderSize(c.socket, readBuffer)
	c.socket.SetDeadline(time.Now().Add(openLimit))
	err = c.greet()
	if err != nil {
		c.Close()
		return fmt.Errorf("cannot authenticate at the system bus %s: %w", addr, err)
	}
	c.socket.SetDeadline(time.Time{})
	return nil
}

func (c *conn) greet() (err error) {
	if c.bus, err = dbus.NewConn(c); err != nil {
		return err
	}
	if err = c.bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	return c.bus.Hello()
}

// Close closes the socket; the reading goroutine, godbus's, then ends.
func (c *conn) Close() error { return c.socket.Close() }

// Write is godbus's way to the socket, a whole message (or line of the
// authentication) at a time.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	n, err := c.socket.Write(b)
	if bytes.Equal(b, []byte("BEGIN\r\n")) {
		c.begun.Store(true)
	}
	return n, err
}

// Read is godbus's view of the socket: the stream without what is taken off it.
// godbus reads always and at once, whatever the stages do: a client that reads
// slowly starves every other client of the bus.
func (c *conn) Read(b []byte) (int, error) {
	if !c.begun.Load() {
		return c.in.Read(b)
	}
	for c.pass == 0 {
		if err := c.next(); err != nil {
			c.backlog.put(item{kind: lost, err: err})
			return 0, err
		}
	}
	n, err := c.in.Read(b[:min(len(b), c.pass)])
	c.pass -= n
	return n, err
}

// next takes one message off the stream, or leaves it to godbus in c.pass.
func (c *conn) next() error {
	head, err := c.in.Peek(wire.FixedHeader)
	if err != nil {
		return err
	}
	p, err := wire.ParsePrefix(head)
	if err != nil {
		return err
	}
	if p.Header > maxHeader {
		return c.refuse(p.Header + p.Body)
	}
	head, err = c.in.Peek(p.Header)
	if err != nil {
		return err
	}
	h, err := wire.ParseHeader(head, p)
	ours := h.ReplySerial >= firstSerial
	switch {
	case err != nil:
		return c.refuse(p.Header + p.Body)
	case p.Type == wire.Signal:
		return c.takeSignal(p, h)
	case p.Type == wire.MethodReply && ours, p.Type == wire.Error && ours:
		return c.takeReply(p, h)
	case p.Type == wire.MethodReply, p.Type == wire.Error:
		c.pass = p.Header + p.Body
		return nil
	}
	return c.refuse(p.Header + p.Body) // nobody has a reason to call us
}

func (c *conn) takeSignal(p wire.Prefix, h wire.Header) error {
	size := p.Header + p.Body
	switch {
	case string(h.Sender) == busName:
		if string(h.Member) != "NameOwnerChanged" || p.Body > maxBody {
			return c.skip(size)
		}
		body, err := c.body(p)
		if err == nil {
			c.ownerChanged(body, p.Order)
		}
		return err
	case c.owner == nil:
		return c.skip(size) // older than the snapshot that will be asked for
	case !bytes.Equal(h.Sender, c.owner):
		// A match rule does not keep out what is sent straight to us.
		return c.refuse(size)
	case string(h.Interface) == managerInterface && string(h.Member) == "Reloading" && string(h.Signature) == "b":
		body, err := c.body(p)
		r := wire.NewReader(body, p.Order)
		if err == nil && r.Uint32() == 0 {
			c.backlog.put(item{kind: reloaded})
		}
		return err
	case string(h.Interface) != properties || string(h.Member) != "PropertiesChanged":
		return c.skip(size)
	}
	unit, ok := c.watch.Load().unit(h.Path)
	switch {
	case !ok:
		return c.skip(size)
	case string(h.Signature) != "sa{sv}as" || p.Body > maxBody:
		return c.refuse(size)
	}
	body, err := c.body(p)
	if err == nil {
		c.backlog.put(item{kind: signal, unit: unit, body: body, order: p.Order, time: time.Now()})
	}
	return err
}

// takeReply takes the reply to a request of ours.
func (c *conn) takeReply(p wire.Prefix, h wire.Header) error {
	it := item{kind: reply, serial: h.ReplySerial, order: p.Order, time: time.Now()}
	if p.Body > maxReply {
		it.err = fmt.Errorf("reply of %d bytes is too long", p.Body)
		c.backlog.put(it)
		return c.refuse(p.Header + p.Body)
	}
	failed, named := p.Type == wire.Error, string(h.Signature) == "s"
	body, err := c.body(p)
	if err != nil {
		return err
	}
	r := wire.NewReader(body, p.Order)
	switch {
	case failed && nobody(h.ErrorName):
		it.nobody = true
	case failed && string(h.ErrorName) == managerError+"AlreadySubscribed":
	case failed && named:
		it.err = errors.New(string(r.String()))
	case failed:
		it.err = errors.New("request failed")
	case it.serial == firstSerial: // GetNameOwner, the first request of a connection
		c.owner = bytes.Clone(r.String())
	default:
		it.body = body
	}
	c.backlog.put(it)
	return nil
}

func (c *conn) ownerChanged(body []byte, order binary.ByteOrder) {
	r := wire.NewReader(body, order)
	name, _, owner := r.String(), r.String(), r.String()
	if r.Done() && string(name) == systemd {
		c.owner = bytes.Clone(owner)
		if len(owner) > 0 {
			c.backlog.put(item{kind: newOwner})
		}
	}
}

// nobody reports whether an error says that the name that was called has no
// owner, or lost it before it replied (D-Bus specification, "Errors").
func nobody(name []byte) bool {
	switch string(name) {
	case busName + ".Error.NameHasNoOwner", busName + ".Error.ServiceUnknown", busName + ".Error.NoReply":
		return true
	}
	return false
}

// body consumes the message whose header was peeked at and returns its body.
func (c *conn) body(p wire.Prefix) ([]byte, error) {
	if _, err := c.in.Discard(p.Header); err != nil {
		return nil, err
	}
	body := make([]byte, p.Body)
	_, err := io.ReadFull(c.in, body)
	return body, err
}

func (c *conn) skip(size int) error {
	_, err := c.in.Discard(size)
	return err
}

func (c *conn) refuse(size int) error {
	c.refused.Add(1)
	return c.skip(size)
}

// request sends a method call and returns the serial that its reply will
// name. Only the source's goroutine makes requests.
func (c *conn) request(destination string, path dbus.ObjectPath, iface, member string, args ...any) (uint32, error) {
	msg := dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoAutoStart, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(destination),
		dbus.FieldPath:        dbus.MakeVariant(path),
		dbus.FieldInterface:   dbus.MakeVariant(iface),
		dbus.FieldMember:      dbus.MakeVariant(member),
	}}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var b bytes.Buffer
	if err := msg.EncodeTo(&b, binary.LittleEndian); err != nil {
		return 0, err
	}
	serial := firstSerial + c.serial
	c.serial++
	binary.LittleEndian.PutUint32(b.Bytes()[8:], serial)
	c.socket.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := c.Write(b.Bytes())
	return serial, err
}
