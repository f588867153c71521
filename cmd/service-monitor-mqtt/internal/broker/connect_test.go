package broker

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

func TestConnect(t *testing.T) {
	asked := make(chan *packets.Connect, 1)
	left := make(chan *packets.ControlPacket, 1)
	c := connectTo(t, Options{
		Settings: listen(t, func(f fake) {
			asked <- f.accept(packets.Properties{})
			left <- f.read()
		}),
		Credentials: Credentials{User: []byte("u"), Password: []byte("p")},
		ClientID:    "gateway",
		Will:        topics.Message{Topic: "will", Payload: []byte("gone"), Retain: true},
	})
	got := <-asked
	got.Properties = nil
	want := &packets.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: "gateway", CleanStart: true, KeepAlive: 60,
		UsernameFlag: true, Username: "u", PasswordFlag: true, Password: []byte("p"),
		WillFlag: true, WillTopic: "will", WillMessage: []byte("gone"), WillRetain: true, WillQOS: 1, WillProperties: got.WillProperties}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("CONNECT (-want +got):\n%s", d)
	}
	c.Close(t.Context())
	if p := <-left; p == nil || p.Type != packets.DISCONNECT || p.Content.(*packets.Disconnect).ReasonCode != 0 {
		t.Errorf("it left with %v", p)
	}
	<-c.Done()
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

// What the other side does in place of an answer to CONNECT.
func TestNoConnack(t *testing.T) {
	refuses := func(code byte) func(fake) {
		return func(f fake) {
			f.read()
			f.write(&packets.Connack{ReasonCode: code, Properties: &packets.Properties{ReasonString: "go away\n"}})
		}
	}
	says := func(text string) func(fake) {
		return func(f fake) { f.read(); _, _ = io.WriteString(f, text) }
	}
	accepts := func(p packets.Properties) func(fake) {
		return func(f fake) { f.accept(p); f.read() }
	}
	for _, tt := range []struct {
		name   string
		script func(fake)
		want   string // the beginning of what Explain says after the name of the broker
	}{
		{"bad password", refuses(0x86), `: the broker refuses the connection: bad user name or password ("go away\n"); put the right user`},
		{"not authorized", refuses(0x87), `: the broker refuses the connection: not authorized ("go away\n"); put the right user`},
		{"old client", refuses(0x84), `: the broker refuses the connection: unsupported protocol version ("go away\n"); MQTT 5`},
		{"identifier", refuses(0x85), `: the broker refuses the connection: client identifier not valid ("go away\n"); allow`},
		{"busy", refuses(0x89), `: the broker refuses the connection: server busy ("go away\n")`},
		{"unknown reason", refuses(0xfe), `: the broker refuses the connection: reason 0xfe ("go away\n")`},
		{"closes", func(f fake) { f.read() }, ": the other side ends the connection"},
		{"closes at once", func(f fake) {}, ": the other side ends the connection"},
		{"MQTT 3", says("\x20\x02\x00\x01"), " speaks only MQTT 3, "},
		{"MQTT 3 accepts", says("\x20\x02\x00\x00"), " speaks only MQTT 3, "},
		{"HTTP", says("HTTP/1.1 400 Bad Request\r\n\r\n"), `: the other side does not speak MQTT; it says "HTTP/1.1 400 Bad Request"; correct`},
		{"SSH", says("SSH-2.0-OpenSSH_9.2\r\n"), `: the other side does not speak MQTT; it says "SSH-2.0-OpenSSH_9.2"; correct`},
		{"zeros", says(strings.Repeat("\x00", 99)), ": the other side does not speak MQTT; correct"},
		{"endless length", says("\x20\xff\xff\xff\xff\xff\xff"), ": the other side does not speak MQTT; correct"},
		{"much", says("\x20\xff\xff\xff\x7f"), ": the other side does not speak MQTT; correct"},
		{"short CONNACK", says("\x20\x01\x00"), ": "},
		{"AUTH", says("\xf0\x00"), ": the other side does not speak MQTT; correct"},
		{"AUTH method", func(f fake) { f.accept(packets.Properties{AuthMethod: "x", MaximumQOS: ptr(byte(0))}); f.read() }, ": the broker does not acknowledge"},
		{"QoS 0", accepts(packets.Properties{MaximumQOS: ptr(byte(0))}), ": the broker does not acknowledge"},
		{"receive maximum 0", accepts(packets.Properties{ReceiveMaximum: ptr(uint16(0))}), ": the other side does not speak MQTT: its receive maximum is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, tt.script)
			c, err := Connect(t.Context(), Options{Settings: s})
			if err == nil {
				c.Close(t.Context())
				t.Fatal("connected")
			}
			e, _ := parse(s.URL)
			if got := Explain(err, s); !strings.HasPrefix(got, where(e)+tt.want) || strings.ContainsRune(got, '\n') {
				t.Errorf("%s", got)
			}
		})
	}
}

// Each part of a connect has a limit.
func TestConnectTimes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(fake)
		want   string
		after  time.Duration
	}{
		{"does not read", func(f fake) {}, "takes the connection and does not answer within 10 seconds", connectTime},
		{"no CONNACK", func(f fake) { f.read() }, "takes the connection and does not answer within 10 seconds", connectTime},
		{"half a CONNACK", func(f fake) { f.read(); _, _ = f.Write([]byte{0x20, 3, 0}) }, "takes the connection and does not answer within 10 seconds", connectTime},
		{"no SUBACK", func(f fake) { f.accept(packets.Properties{}); f.read() }, "does not answer a subscription within 10 seconds", subscribeTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, end, err := pipe(t, Options{Subscribe: []string{"s"}}, func(f fake) {
					tt.script(f)
					_, _ = io.Copy(io.Discard, f)
				})
				if took := time.Since(began); err == nil || !strings.Contains(err.Error(), tt.want) || took != tt.after {
					t.Errorf("after %v: %v; want %q after %v", took, err, tt.want, tt.after)
				}
				end()
			})
		})
	}
}

func TestConnectCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := listen(t, func(f fake) { f.read(); cancel(); f.read() })
	if _, err := Connect(ctx, Options{Settings: s}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSubscribe(t *testing.T) {
	heard := make(chan topics.Message, 2)
	acked := make(chan uint16, 1)
	o := Options{Subscribe: []string{"a/#", "b"}, Heard: func(m topics.Message) { heard <- m }}
	o.Settings = listen(t, func(f fake) {
		f.accept(packets.Properties{})
		s := next[*packets.Subscribe](f)
		f.write(&packets.Suback{PacketID: s.PacketID, Reasons: []byte{1, 1}, Properties: &packets.Properties{}})
		f.write(&packets.Publish{Topic: "a/b", Payload: []byte("1"), Retain: true, QoS: 1, PacketID: 9, Properties: &packets.Properties{}})
		f.write(&packets.Publish{Topic: "b", Properties: &packets.Properties{}})
		acked <- next[*packets.Puback](f).PacketID
		f.read()
	})
	connectTo(t, o)
	got := []topics.Message{<-heard, <-heard}
	want := []topics.Message{{Topic: "a/b", Payload: []byte("1"), Retain: true}, {Topic: "b", Payload: []byte{}}}
	if d := cmp.Diff(want, got); d != "" || <-acked != 9 {
		t.Errorf("heard (-want +got):\n%s", d)
	}

	o.Settings = listen(t, func(f fake) {
		f.accept(packets.Properties{})
		s := next[*packets.Subscribe](f)
		f.write(&packets.Suback{PacketID: s.PacketID, Reasons: []byte{1, 0x87}, Properties: &packets.Properties{}})
		f.read()
	})
	if _, err := Connect(t.Context(), o); err == nil || !strings.Contains(err.Error(), `the broker refuses the subscription to "b": not authorized`) {
		t.Error(err)
	}
}

// The reason of a loss is known when Done is closed.
func TestLoss(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(fake)
		want   string
	}{
		{"closes", func(f fake) {}, "the broker has closed the connection"},
		{"another client", func(f fake) {
			f.write(&packets.Disconnect{ReasonCode: 0x8e, Properties: &packets.Properties{}})
		}, "the broker ends the connection: session taken over"},
		{"shuts down", func(f fake) {
			f.write(&packets.Disconnect{ReasonCode: 0x8b, Properties: &packets.Properties{}})
		}, "the broker ends the connection: server shutting down"},
		{"garbage", func(f fake) { _, _ = f.Write([]byte{0x40, 0xff, 0xff, 0xff, 0xff}); f.read() }, "does not speak MQTT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, func(f fake) { f.accept(packets.Properties{}); tt.script(f) })
			<-c.Done()
			if err := c.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	c := connect(t, func(f fake) { f.accept(packets.Properties{}); f.read() })
	c.Close(t.Context())
	c.Close(t.Context())
	if acked, err := c.Publish(t.Context(), numbered(1)); acked != 0 || err == nil {
		t.Error(acked, err)
	}
}
