package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

const (
	// pause is how long changes are collected. In a storm a unit is told ten times a second.
	pause = 100 * time.Millisecond
	// most is how many may listen.
	most = 64
	// behind is how many times changes may wait for somebody who is slow. Then the stream ends.
	behind = 16
	// patience is how long one write to somebody who listens may take.
	patience = 10 * time.Second
)

// Stage is the feed.
type Stage struct {
	log     logrus.FieldLogger
	socket  string
	monitor Monitor
	units   map[string]*count.Tally // shared with the events
	clients map[*client]bool
	left    chan *client
	changed map[string]bool // since the last time that changes were told
	timer   *time.Timer
	buf     bytes.Buffer
}

// A client is somebody who listens.
type client struct {
	conn net.Conn
	out  chan []byte // closed if the client is to be left
}

// New returns a feed on a socket. It knows these units already.
func New(log logrus.FieldLogger, socket string, monitor Monitor, known map[string]*count.Tally) *Stage {
	s := &Stage{
		log: log, socket: socket, monitor: monitor, units: maps.Clone(known), clients: map[*client]bool{},
		left: make(chan *client), changed: map[string]bool{}, timer: time.NewTimer(0),
	}
	if s.units == nil {
		s.units = map[string]*count.Tally{}
	}
	s.timer.Stop()
	return s
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run tells what changes until there are no more events. If the socket cannot be made, nobody can
// listen, and all else goes on.
func (s *Stage) Run(ctx context.Context, p *port) error {
	conns, end := s.listen()
	defer end()
	for {
		select {
		case batch, ok := <-p.In:
			if !ok {
				s.tell()
				s.leaveAll()
				return nil
			}
			for i := range batch {
				s.take(&batch[i])
			}
		case conn := <-conns:
			s.join(conn)
		case c := <-s.left:
			s.leave(c)
		case <-s.timer.C:
			s.tell()
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			s.leaveAll()
			return ctx.Err()
		}
	}
}

// listen begins to listen on the socket. It returns a channel for those who come.
func (s *Stage) listen() (conns <-chan net.Conn, end func()) {
	_, missing := os.Stat(filepath.Dir(s.socket))
	if s.socket == DefaultSocket && errors.Is(missing, fs.ErrNotExist) {
		return nil, func() {} // it was not started by its unit
	}
	listener, err := bind(s.socket)
	if err != nil {
		s.log.WithError(err).Warn("nobody can listen to the monitor; status reads its files instead")
		return nil, func() {}
	}
	c, done := make(chan net.Conn), make(chan struct{})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				time.Sleep(pause) // no descriptors: they may be there again later
				continue
			}
			select {
			case c <- conn:
			case <-done:
				conn.Close()
			}
		}
	}()
	return c, func() { close(done); listener.Close() }
}

// bind makes the socket. A socket that an earlier monitor has left is replaced, and nothing else.
func bind(socket string) (net.Listener, error) {
	info, err := os.Lstat(socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there, and is no socket", socket)
	default:
		if conn, err := net.DialTimeout("unix", socket, time.Second); err == nil {
			conn.Close()
			return nil, fmt.Errorf("another monitor listens on %s", socket)
		}
		if err := os.Remove(socket); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	// The umask has kept it from others until now: who may not write to a socket cannot connect.
	if err := os.Chmod(socket, 0o660); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// take notes an event.
func (s *Stage) take(e *count.Event) {
	unit := e.Tally.Unit
	switch e.Kind {
	case classify.Forgotten:
		delete(s.units, unit)
	case classify.Folded:
		// The sum of its glob comes with an event of the glob. The edge may deliver that one first.
		delete(s.units, e.Unit)
		s.change(e.Unit)
		return
	default:
		s.units[unit] = e.Tally
	}
	s.change(unit)
}

// change notes that a unit has changed, for those who listen.
func (s *Stage) change(unit string) {
	if len(s.clients) == 0 {
		return
	}
	if len(s.changed) == 0 {
		s.timer.Reset(pause)
	}
	s.changed[unit] = true
}

// tell tells what has changed. Whoever has not taken what was told before is left.
func (s *Stage) tell() {
	if len(s.changed) == 0 {
		return
	}
	s.buf.Reset()
	for _, unit := range slices.Sorted(maps.Keys(s.changed)) {
		write(&s.buf, s.units, unit)
	}
	clear(s.changed)
	text := bytes.Clone(s.buf.Bytes())
	for c := range s.clients {
		select {
		case c.out <- text:
		default:
			s.leave(c)
			c.conn.Close() // a write may be under way, and would go on until it has taken too long
		}
	}
}

// write writes how a unit is.
func write(b *bytes.Buffer, units map[string]*count.Tally, unit string) {
	m := Message{Gone: unit}
	if tally := units[unit]; tally != nil {
		m = Message{Unit: unitOf(tally)}
		m.Unit.Since = zone.Local(m.Unit.Since)
	}
	_ = json.NewEncoder(b).Encode(m) // every such message can be encoded
}

// join lets somebody listen: first everything is told.
func (s *Stage) join(conn net.Conn) {
	if len(s.clients) >= most {
		conn.Close()
		return
	}
	c := &client{conn, make(chan []byte, behind)}
	s.clients[c] = true
	go c.serve(s.monitor, maps.Clone(s.units), s.left)
}

func (s *Stage) leave(c *client) {
	if s.clients[c] {
		delete(s.clients, c)
		close(c.out)
	}
}

func (s *Stage) leaveAll() {
	for c := range s.clients {
		s.leave(c)
	}
}

// serve writes to a client until it is left, or goes.
func (c *client) serve(monitor Monitor, units map[string]*count.Tally, left chan<- *client) {
	gone := make(chan struct{})
	go func() {
		_, _ = c.conn.Read(make([]byte, 1)) // it has nothing to say: either it goes, or it goes now
		close(gone)
	}()
	err := c.greet(monitor, units)
	for err == nil {
		select {
		case text, ok := <-c.out:
			if !ok {
				c.conn.Close()
				return
			}
			err = c.write(text)
		case <-gone:
			err = net.ErrClosed
		}
	}
	c.conn.Close()
	for {
		select {
		case left <- c:
		case _, ok := <-c.out:
			if ok {
				continue
			}
		}
		return
	}
}

// greet writes everything that is known.
func (c *client) greet(monitor Monitor, units map[string]*count.Tally) error {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(Message{Monitor: &monitor})
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		if write(&b, units, unit); b.Len() > 16<<10 {
			if err := c.write(b.Bytes()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	_ = json.NewEncoder(&b).Encode(Message{Complete: true})
	return c.write(b.Bytes())
}

func (c *client) write(b []byte) error {
	err := c.conn.SetWriteDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = c.conn.Write(b)
	}
	return err
}
