// Package link is the source's connection to the system bus. It always reads at once, and
// keeps what matters, in the order in which the bus sent it.
package link

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of D-Bus and of systemd on it (org.freedesktop.systemd1(5)).
const (
	BusName          = "org.freedesktop.DBus"
	BusPath          = "/org/freedesktop/DBus"
	Properties       = "org.freedesktop.DBus.Properties"
	Systemd          = "org.freedesktop.systemd1"
	ManagerPath      = "/org/freedesktop/systemd1"
	ManagerInterface = "org.freedesktop.systemd1.Manager"
)

const (
	defaultAddress = "unix:path=/run/dbus/system_bus_socket"
	openLimit      = 10 * time.Second // for connecting and authenticating
	writeLimit     = 5 * time.Second  // for a call to fit into the socket
	// The serials of our own calls begin at firstSerial. godbus counts up from 1 and does not
	// get that far.
	firstSerial = 1 << 31
	ownerSerial = firstSerial + 1 // of GetNameOwner, the second call
)

// A Link is one connection to the system bus. godbus makes it: it authenticates and says Hello.
// The link sits between godbus and the socket. It takes signals, and the replies to its own
// calls, off the stream, and puts them into the backlog in their order. Because of that order
// a snapshot can be compared with the signals around it.
type Link struct {
	socket  *net.UnixConn
	writing sync.Mutex
	serial  uint32 // the next one
	backlog *backlog
	units   func(objectPath []byte) (unit string, ok bool)
	wanted  func(property []byte) bool
	refused *atomic.Uint64

	// Only the reading goroutine, which is godbus's, uses these.
	begun atomic.Bool // we are authenticated, and messages follow
	in    *inlet
	taken []Item // taken off the stream, and not in the backlog yet
	past  int    // bytes that came since the last item
	pass  int    // bytes of the present message that godbus has yet to read
	gauge gauge
	owner []byte // unique name of PID 1
}

// Open connects and authenticates. It blocks for some seconds at most. units names the units
// whose signals are received, by object path. wanted says which properties are kept of a reply
// to GetAll. refused counts what is not from systemd or not well-formed. Another goroutine uses
// all three until Close.
func Open(units func(objectPath []byte) (unit string, ok bool), wanted func(property []byte) bool, refused *atomic.Uint64) (*Link, error) {
	return OpenWithin(openLimit, units, wanted, refused)
}

// OpenWithin is Open for somebody who does not wait as long.
func OpenWithin(limit time.Duration, units func(objectPath []byte) (unit string, ok bool), wanted func(property []byte) bool, refused *atomic.Uint64) (*Link, error) {
	l := &Link{serial: firstSerial, backlog: newBacklog(), units: units, wanted: wanted, refused: refused}
	addr, err := address()
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(limit)
	socket, err := net.DialTimeout("unix", addr, limit)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the system bus: %w", err)
	}
	l.socket = socket.(*net.UnixConn)
	if l.in, err = newInlet(l.socket, l.handOver); err != nil {
		return nil, err
	}
	l.socket.SetDeadline(until)
	if err := l.greet(); err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot authenticate at the system bus %s: %w", addr, err)
	}
	l.socket.SetDeadline(time.Time{})
	return l, nil
}

func (l *Link) greet() error {
	bus, err := dbus.NewConn(l)
	if err != nil {
		return err
	}
	if err := bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	if err := bus.Hello(); err != nil {
		return err
	}
	// In this order no change of the owner is missed.
	const rule = "type='signal',sender='" + BusName + "',interface='" + BusName + "',member='NameOwnerChanged',arg0='" + Systemd + "'"
	if _, err := l.Call(BusName, BusPath, BusName, "AddMatch", rule); err != nil {
		return err
	}
	_, err = l.Call(BusName, BusPath, BusName, "GetNameOwner", Systemd)
	return err
}

// Ready holds a token while there is something to Get.
func (l *Link) Ready() <-chan struct{} { return l.backlog.ready }

// Get returns what was received since the last Get. It belongs to the caller until the next
// Get. dropped counts, by unit, the signals behind it that did not fit into the backlog.
func (l *Link) Get() (items []Item, dropped map[string]int) { return l.backlog.get() }

// Close closes the socket; the reading goroutine then ends.
func (l *Link) Close() error { return l.socket.Close() }

// address returns the address of the system bus.
func address() (string, error) {
	list := cmp.Or(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), defaultAddress)
	for entry := range strings.SplitSeq(list, ";") {
		kind, params, _ := strings.Cut(entry, ":")
		for param := range strings.SplitSeq(params, ",") {
			key, value, _ := strings.Cut(param, "=")
			value, err := url.PathUnescape(value)
			switch {
			case err != nil || kind != "unix":
			case key == "path":
				return value, nil
			case key == "abstract":
				return "@" + value, nil
			}
		}
	}
	return "", fmt.Errorf("cannot use DBUS_SYSTEM_BUS_ADDRESS=%q: it names no unix socket", list)
}

// Write writes for godbus: a whole message at a time, or a line of the authentication.
func (l *Link) Write(b []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	n, err := l.socket.Write(b)
	if bytes.Equal(b, []byte("BEGIN\r\n")) {
		l.begun.Store(true)
	}
	return n, err
}

// Call sends a method call. The reply will be an Item with the serial that Call returns. Only
// one goroutine may call at a time.
func (l *Link) Call(destination string, path string, iface, member string, args ...any) (uint32, error) {
	serial := l.serial
	l.serial++
	return serial, l.call(serial, destination, path, iface, member, args...)
}

func (l *Link) call(serial uint32, destination string, path string, iface, member string, args ...any) error {
	msg := dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoAutoStart, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(destination),
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(path)),
		dbus.FieldInterface:   dbus.MakeVariant(iface),
		dbus.FieldMember:      dbus.MakeVariant(member),
	}}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var b bytes.Buffer
	if err := msg.EncodeTo(&b, binary.LittleEndian); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b.Bytes()[8:], serial)
	l.socket.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := l.Write(b.Bytes())
	return err
}
