package broker

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// A fake is the broker's side of a connection.
type fake struct {
	t *testing.T
	net.Conn
}

// read returns the next packet, or nil at the end of the connection.
func (f fake) read() *packets.ControlPacket {
	p, err := packets.ReadPacket(f)
	if err != nil {
		return nil
	}
	return p
}

// next returns the content of the next packet, which must be a P.
func next[P packets.Packet](f fake) P {
	f.t.Helper()
	var none P
	p := f.read()
	if p == nil {
		f.t.Errorf("the connection has ended, want a %T", none)
		return none
	}
	content, ok := p.Content.(P)
	if !ok {
		f.t.Errorf("got %s, want a %T", p, none)
	}
	return content
}

func (f fake) write(p packets.Packet) { _, _ = p.WriteTo(f) }

// accept answers CONNECT.
func (f fake) accept(p packets.Properties) *packets.Connect {
	f.t.Helper()
	connect := next[*packets.Connect](f)
	f.write(&packets.Connack{Properties: &p})
	return connect
}

func (f fake) ack(id uint16, reason byte) {
	f.write(&packets.Puback{PacketID: id, ReasonCode: reason, Properties: &packets.Properties{}})
}

// listen starts a broker at a socket. Each connection is served by script. Cleanup waits for it.
func listen(t *testing.T, script func(fake)) Settings {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "broker")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			script(fake{t, conn})
			_ = conn.Close()
		}
	}()
	return Settings{URL: "unix://" + socket, KeepAlive: time.Minute}
}

// connect connects to a broker with a script.
func connect(t *testing.T, script func(fake)) *Conn {
	t.Helper()
	return connectTo(t, Options{Settings: listen(t, script), ClientID: "us"})
}

func connectTo(t *testing.T, o Options) *Conn {
	t.Helper()
	c, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err, Explain(err, o.Settings))
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// pipe connects over a pipe, for tests in virtual time. end closes it and waits for the script.
func pipe(t *testing.T, o Options, script func(fake)) (c *Conn, end func(), err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		script(fake{t, theirs})
		_ = theirs.Close()
	}()
	c, err = establish(t.Context(), ours, endpoint{network: "unix"}, o)
	end = func() {
		if c != nil {
			c.Close(context.Background())
		}
		_ = ours.Close()
		_ = theirs.Close()
		<-done
	}
	return c, end, err
}

// numbered returns n messages: t/0, t/1 …
func numbered(n int) []topics.Message {
	all := make([]topics.Message, n)
	for i := range all {
		all[i] = topics.Message{Topic: fmt.Sprint("t/", i), Payload: fmt.Append(nil, i)}
	}
	return all
}

func ptr[T any](v T) *T { return &v }
