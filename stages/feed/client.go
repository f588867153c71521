package feed

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"service-monitor/stages/count"
)

// A client is one listener.
type client struct {
	conn net.Conn
	out  chan []byte  // closed to disconnect the client
	owed atomic.Int64 // how many bytes wait in out, or are being written
}

// join adds a listener. A listener is first told all that is known.
func (s *Stage) join(conn net.Conn) {
	if len(s.clients) >= most {
		conn.Close()
		return
	}
	c := &client{conn: conn, out: make(chan []byte, 16)}
	s.clients[c] = true
	go c.serve(s.about(), maps.Clone(s.units), s.left)
}

// about returns what is known of the monitor itself, with its present counters.
func (s *Stage) about() Monitor {
	m := s.monitor
	if s.counters != nil {
		m.Counters = s.counters()
	}
	return m
}

// leave disconnects a client.
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

// offer lets a text wait for the client. It reports whether there was room. If nothing else waits,
// there is room for a text of any size.
func (c *client) offer(text []byte) bool {
	if owed := c.owed.Add(int64(len(text))); owed > behind && owed > int64(len(text)) {
		return false
	}
	select {
	case c.out <- text:
		return true
	default:
		return false
	}
}

// serve writes to a client until the feed or the client disconnects.
func (c *client) serve(monitor Monitor, units map[string]*count.Tally, left chan<- *client) {
	gone := make(chan struct{})
	go func() {
		_, _ = c.conn.Read(make([]byte, 1)) // a client that says something is disconnected, too
		close(gone)
	}()
	err := c.greet(monitor, units)
	for units = nil; err == nil; {
		select {
		case text, ok := <-c.out:
			if !ok {
				c.conn.Close()
				return
			}
			err = c.write(text)
			c.owed.Add(-int64(len(text)))
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

// greet writes all that is known.
func (c *client) greet(monitor Monitor, units map[string]*count.Tally) error {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(Message{Monitor: &monitor})
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		if write(&b, units, unit); b.Len() > 4<<10 {
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
