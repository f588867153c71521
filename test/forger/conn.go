package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/godbus/dbus/v5"
)

const (
	socket  = "/run/dbus/system_bus_socket"
	busName = "org.freedesktop.DBus"
	busPath = dbus.ObjectPath("/org/freedesktop/DBus")
)

// A conn is a connection to the bus that sends whatever it is told to.
type conn struct {
	*bufio.Writer
	socket net.Conn
	name   string
	stale  atomic.Bool // nobody has the target's name any more
	read   chan uint64 // gets the number of errors when the connection is closed
}

func connect() (*conn, error) {
	s, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	c := &conn{Writer: bufio.NewWriterSize(s, 64<<10), socket: s, read: make(chan uint64, 1)}
	in := bufio.NewReader(s)
	if err := c.greet(in); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot greet the bus: %w", err)
	}
	go c.receive(in)
	return c, nil
}

func (c *conn) greet(in *bufio.Reader) error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	if _, err := fmt.Fprintf(c.socket, "\x00AUTH EXTERNAL %s\r\n", uid); err != nil {
		return err
	}
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
		return fmt.Errorf("%q (%w)", line, err)
	}
	fmt.Fprint(c, "BEGIN\r\n")
	c.Write(frame(dbus.TypeMethodCall, headers{
		dbus.FieldDestination: busName, dbus.FieldPath: busPath, dbus.FieldInterface: busName, dbus.FieldMember: "Hello",
	}))
	if err := c.Flush(); err != nil {
		return err
	}
	reply, err := dbus.DecodeMessage(in)
	if err != nil {
		return err
	}
	return dbus.Store(reply.Body, &c.name)
}

// receive reads what the bus answers, and counts the errors.
func (c *conn) receive(in *bufio.Reader) {
	var errors uint64
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			c.read <- errors
			return
		}
		if m.Type != dbus.TypeError {
			continue
		}
		errors++
		switch name, _ := m.Headers[dbus.FieldErrorName].Value().(string); name {
		case busName + ".Error.ServiceUnknown", busName + ".Error.NameHasNoOwner":
			c.stale.Store(true)
		}
	}
}

// close closes the connection and returns how many errors came.
func (c *conn) close() uint64 {
	c.socket.Close()
	return <-c.read
}

// A dam holds those who come to it back until all have come.
type dam struct {
	mu      sync.Mutex
	all     int
	waiting int
	gate    chan struct{}
	opened  bool
}

func newDam(all int) *dam { return &dam{all: all, gate: make(chan struct{})} }

func (d *dam) wait() {
	d.mu.Lock()
	gate := d.gate
	d.waiting++
	if d.waiting == d.all || d.opened {
		close(gate)
		d.gate, d.waiting = make(chan struct{}), 0
	}
	d.mu.Unlock()
	<-gate
}

// open lets all go on. From then on the dam holds nobody back.
func (d *dam) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = true
	close(d.gate)
	d.gate, d.waiting = make(chan struct{}), 0
}
