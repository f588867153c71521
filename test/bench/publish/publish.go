package publish

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/journald/records"
	"service-monitor/test/fakebus"
)

// Last is a unit of every Systemd. It starts once, after everything else. If a
// contestant has logged that start, it has logged everything.
const Last = "bench-last.service"

// chunk is how much is written at once.
const chunk = 64 << 10

// A service is a unit of this systemd.
type service struct {
	name       string
	header     []byte
	state, sub string
	invocation records.Invocation
	entered    uint64 // when it entered the state, in µs of the monotonic clock
	at         int    // the next step of the restart
}

// A Systemd is a systemd that only publishes.
type Systemd struct {
	socket net.Conn
	script *Script
	prefix prefix
	closed chan struct{}

	mu       sync.Mutex // guards all below, and writing
	units    []*service // the last is Last
	byPath   map[string]*service
	begun    uint64 // number of invocations so far
	buffer   []byte
	changes  int
	restarts map[string]int
	touched  map[string]bool
	entered  []time.Duration
}

// Start connects to a bus and takes systemd's name on it. The services of these names run, and Last
// does not.
func Start(socketPath string, script *Script, names []string) (*Systemd, error) {
	socket, err := net.Dial("unix", socketPath)
	if err != nil {
		return nil, err
	}
	s := &Systemd{
		socket: socket, script: script, prefix: newPrefix(script.snapshot), closed: make(chan struct{}),
		byPath: map[string]*service{}, restarts: map[string]int{}, touched: map[string]bool{},
	}
	for _, name := range append(names[:len(names):len(names)], Last) {
		u := &service{name: name, header: header(name), state: "inactive", sub: "dead"}
		if name != Last {
			u.state, u.sub, u.entered, u.invocation = "active", "running", records.Clock(), s.next()
		}
		s.units, s.byPath[fakebus.Path(name)] = append(s.units, u), u
	}
	in := bufio.NewReader(socket)
	if err := s.greet(in); err != nil {
		socket.Close()
		return nil, fmt.Errorf("cannot be systemd on %s: %w", socketPath, err)
	}
	go s.serve(in)
	return s, nil
}

// Close leaves the bus.
func (s *Systemd) Close() {
	s.socket.Close()
	<-s.closed
}

func (s *Systemd) greet(in *bufio.Reader) error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	if _, err := fmt.Fprintf(s.socket, "\x00AUTH EXTERNAL %s\r\n", uid); err != nil {
		return err
	}
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
		return fmt.Errorf("refused: %q (%w)", line, err)
	}
	if _, err := s.socket.Write([]byte("BEGIN\r\n")); err != nil {
		return err
	}
	const busName = "org.freedesktop.DBus"
	for i, call := range [][]any{{"Hello"}, {"RequestName", "org.freedesktop.systemd1", uint32(0)}} {
		m := dbus.Message{Type: dbus.TypeMethodCall, Body: call[1:], Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(busName), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")),
			dbus.FieldInterface: dbus.MakeVariant(busName), dbus.FieldMember: dbus.MakeVariant(call[0]),
		}}
		if len(m.Body) > 0 {
			m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
		}
		if err := s.send(&m, uint32(i+1), nil); err != nil {
			return err
		}
		if err := awaitReply(in); err != nil {
			return err
		}
	}
	return nil
}

func awaitReply(in *bufio.Reader) error {
	for {
		m, err := dbus.DecodeMessage(in)
		switch {
		case err != nil:
			return err
		case m.Type == dbus.TypeError:
			return fmt.Errorf("refused: %v", m.Body)
		case m.Type == dbus.TypeMethodReply:
			return nil
		}
	}
}

// Changes returns how often ActiveState has changed so far, and how many services had any signal.
func (s *Systemd) Changes() (changes, touched int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes, len(s.touched)
}

// Restarts returns how often each service has begun a new invocation.
func (s *Systemd) Restarts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.restarts)
}

// Entered returns the times of all starts announced so far, by the monotonic clock.
func (s *Systemd) Entered() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entered)
}

// Events returns how many changes a restart has. Each change has two signals.
func (s *Systemd) Events() int { return len(s.script.steps) / 2 }

// Storm restarts all services at once, again and again, until so many signals are sent and all
// services run again. It returns how many signals it has sent.
func (s *Systemd) Storm(signals int) (sent int, err error) {
	for sent < signals {
		for range len(s.script.steps) / 2 {
			for _, u := range s.units[:len(s.units)-1] {
				if err := s.announce(u, chunk); err != nil {
					return sent, err
				}
				sent += 2
			}
		}
	}
	return sent, s.flush()
}

// Pace announces one change after the other, each at its time, until the context ends. It returns
// how many signals it has sent.
func (s *Systemd) Pace(ctx context.Context, every time.Duration) (sent int, err error) {
	next := time.NewTicker(every)
	defer next.Stop()
	services := s.units[:len(s.units)-1]
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return sent, nil
		case <-next.C:
		}
		if err := s.announce(services[i/(len(s.script.steps)/2)%len(services)], 0); err != nil {
			return sent, err
		}
		sent += 2
	}
}

// Finish starts Last.
func (s *Systemd) Finish() error {
	u := s.units[len(s.units)-1]
	for i := range s.script.steps {
		if s.script.steps[i].begins {
			u.at = i - 1 // the Service half comes first
			break
		}
	}
	for first := true; first || u.at != 0; first = false {
		if err := s.announce(u, chunk); err != nil {
			return err
		}
	}
	return s.flush()
}

// announce adds the next two signals of a service to the buffer. It sends the buffer once at least
// wait bytes are in it.
func (s *Systemd) announce(u *service, wait int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 2 {
		s.add(u, &s.script.steps[u.at])
		u.at = (u.at + 1) % len(s.script.steps)
	}
	if len(s.buffer) < wait {
		return nil
	}
	return s.write()
}

func (s *Systemd) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write()
}

func (s *Systemd) write() error {
	_, err := s.socket.Write(s.buffer)
	s.buffer = s.buffer[:0]
	return err
}

// add appends one signal.
func (s *Systemd) add(u *service, st *step) {
	at := len(s.buffer)
	s.buffer = append(s.buffer, u.header...)
	binary.LittleEndian.PutUint32(s.buffer[at+4:], uint32(len(st.body)))
	binary.LittleEndian.PutUint32(s.buffer[at+8:], 1<<30) // any serial will do, because nobody replies to it
	at = len(s.buffer)
	s.buffer = append(s.buffer, st.body...)
	if !st.unitHalf {
		return
	}
	s.touched[u.name] = true
	u.state, u.sub = st.state, st.sub
	if st.begins {
		u.invocation = s.next()
		s.restarts[u.name]++
	}
	if st.changes {
		s.changes++
		u.entered = records.Clock()
		if st.state == "active" {
			s.entered = append(s.entered, time.Duration(u.entered)*time.Microsecond)
		}
	}
	copy(s.buffer[at+st.invocation:], u.invocation[:])
	binary.LittleEndian.PutUint64(s.buffer[at+st.entered:], u.entered)
}

// next returns an invocation ID that was not used before.
func (s *Systemd) next() (i records.Invocation) {
	s.begun++
	binary.BigEndian.PutUint64(i[:], 0x5eed<<48)
	binary.BigEndian.PutUint64(i[8:], s.begun)
	return i
}
