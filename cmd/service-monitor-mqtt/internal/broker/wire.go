package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

const (
	// writeTime is how long the kernel may have no room for what we send. It has room for some 100 kB, so
	// the broker reads nothing, or the link is down.
	writeTime = 20 * time.Second
	// readBuffer has room for many acknowledgements, which come in one segment.
	readBuffer = 512
)

// A wire is the connection below MQTT. paho writes a packet in three parts or more; each would be a TCP
// segment and a TLS record of its own. So the parts are collected until paho unlocks the wire, which it does
// after each packet.
type wire struct {
	net.Conn
	mu     sync.Mutex
	packet []byte    // what was written since Lock
	sent   time.Time // the last write
	err    error     // of the last write: nothing can follow half a packet

	read   *bufio.Reader
	frames frames
}

func newWire(raw net.Conn) *wire {
	return &wire{Conn: raw, read: bufio.NewReaderSize(raw, readBuffer), sent: time.Now()}
}

// Lock and Unlock are called by packets.ControlPacket.WriteTo.
func (w *wire) Lock() { w.mu.Lock() }

// Unlock sends what was written.
func (w *wire) Unlock() {
	w.flush()
	w.mu.Unlock()
}

// Write is called with the lock held.
func (w *wire) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.packet = append(w.packet, b...)
	return len(b), nil
}

// send sends whole packets.
func (w *wire) send(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.Write(b)
	w.flush()
	return w.err
}

// flush sends what was written. paho does not see an error of it. So the connection is closed, and paho
// sees that.
func (w *wire) flush() {
	if w.err != nil || len(w.packet) == 0 {
		return
	}
	// Without the deadline afterwards, there is no timer that wakes us for nothing.
	_ = w.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, w.err = w.Conn.Write(w.packet)
	_ = w.Conn.SetWriteDeadline(time.Time{})
	w.sent = time.Now()
	if w.packet = w.packet[:0]; cap(w.packet) > 2*batchSize {
		w.packet = nil // a large message was an exception
	}
	if w.err != nil {
		_ = w.Conn.Close()
	}
}

// Read is called by one goroutine, which paho has for that.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.read.Read(b)
	if bad := w.frames.check(b[:n]); bad != nil {
		return 0, w.quote(bad)
	}
	return n, err
}

// quote adds the first words of a side that does not speak MQTT, if they can be read: "HTTP/1.1 400 Bad
// Request", "SSH-2.0-OpenSSH".
func (w *wire) quote(err error) error {
	if w.frames.begun || w.frames.kind == packets.CONNACK<<4 || !errors.Is(err, errNotMQTT) {
		return err
	}
	rest, _ := w.read.Peek(w.read.Buffered())
	line, _, _ := bytes.Cut(append([]byte{w.frames.kind}, rest...), []byte("\n"))
	line = bytes.TrimRight(line[:min(len(line), 40)], "\r")
	if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
		return err
	}
	return fmt.Errorf("%w; it says %q", err, line)
}

// cause returns the error of a write, if there was one. It comes before err, which is that the connection was
// closed because of it.
func (w *wire) cause(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.err != nil {
		return w.err
	}
	return err
}

// lastSent returns when we wrote last.
func (w *wire) lastSent() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

func (w *wire) ping() error {
	_, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(w)
	return err
}
