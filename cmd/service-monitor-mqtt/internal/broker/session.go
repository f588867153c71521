package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// limits are what the broker wants of us.
type limits struct {
	window  int  // how many messages may be sent before the first is acknowledged
	packet  int  // the size of the largest packet, in bytes; 0 without a limit
	retains bool // it keeps messages
}

// A goodbye is a session that hears DISCONNECT as soon as it is read. paho's callback comes only after the
// connection was closed, and another goroutine may have taken that for the reason.
type goodbye struct {
	*state.State
	conn *Conn
}

func (g goodbye) ConnectionLost(d *packets.Disconnect) error {
	if d != nil {
		g.conn.lose(newSaidError("ends the connection", d.ReasonCode, textOf(d.Properties)))
	}
	return g.State.ConnectionLost(d)
}

func textOf(p *packets.Properties) string {
	if p == nil {
		return ""
	}
	return p.ReasonString
}

func newConn(raw net.Conn, o Options) *Conn {
	c := &Conn{wire: newWire(raw), session: state.NewInMemory(), done: make(chan struct{}), heard: o.Heard}
	c.client = paho.NewClient(paho.ClientConfig{
		Conn:              c.wire,
		Session:           goodbye{c.session, c},
		PingHandler:       newPinger(c),
		AuthHandler:       noAuth{},
		PacketTimeout:     2 * connectTime, // we have our own limits
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){c.hear},
		OnClientError:     func(err error) { c.lose(lost(c.wire.cause(err))) },
	})
	return c
}

// lost returns the error for a connection that has ended.
func lost(err error) error {
	if ended(err) {
		return errClosed
	}
	return fmt.Errorf("the connection to the broker is lost: %w", err)
}

// errClosed is the error for a broker that ends the connection without a word, or is killed.
var errClosed = errors.New("the broker has closed the connection")

// ended reports whether the other side has ended the connection.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// connect does CONNECT and CONNACK.
func (c *Conn) connect(ctx context.Context, o Options) error {
	request, err := request(o)
	if err != nil {
		return err
	}
	answer, err := c.client.Connect(ctx, request)
	err = c.wire.cause(err)
	switch {
	case answer != nil && answer.ReasonCode >= failure:
		return newSaidError("refuses the connection", answer.ReasonCode, answer.Properties.ReasonString)
	case ended(err):
		return errHungUp
	case err != nil:
		return err
	}
	c.limits, err = limitsOf(answer.Properties)
	if err != nil {
		return c.abort(err)
	}
	return nil
}

// errHungUp is the error for a side that ends the connection in place of an answer.
var errHungUp = errors.New("the other side ends the connection in place of an answer to CONNECT")

func request(o Options) (*paho.Connect, error) {
	received, size := uint16(receiveMaximum), uint32(maxReceived)
	r := &paho.Connect{
		ClientID:     o.ClientID,
		CleanStart:   true,
		KeepAlive:    uint16(o.KeepAlive.Seconds()),
		Username:     string(o.User),
		UsernameFlag: o.User != nil,
		Password:     o.Password,
		PasswordFlag: o.Password != nil,
		Properties:   &paho.ConnectProperties{ReceiveMaximum: &received, MaximumPacketSize: &size, RequestProblemInfo: true},
	}
	if o.Will.Topic == "" {
		return r, nil
	}
	if len(o.Will.Topic) > longestText || len(o.Will.Payload) > longestText {
		return nil, fmt.Errorf("the will has more than %d bytes", longestText)
	}
	r.WillMessage = &paho.WillMessage{Topic: o.Will.Topic, Payload: o.Will.Payload, Retain: o.Will.Retain, QoS: 1}
	return r, nil
}

// longestText is the room that MQTT has for a topic and for a will's payload: their length is two bytes.
const longestText = 65535

func limitsOf(p *paho.ConnackProperties) (limits, error) {
	l := limits{window: longestText, retains: p.RetainAvailable}
	if p.ReceiveMaximum != nil {
		l.window = int(*p.ReceiveMaximum)
	}
	if p.MaximumPacketSize != nil {
		l.packet = int(*p.MaximumPacketSize)
	}
	if p.MaximumQoS != nil && *p.MaximumQoS == 0 {
		return l, errors.New("the broker does not acknowledge messages (it takes only QoS 0)")
	}
	if l.window == 0 {
		return l, fmt.Errorf("%w: its receive maximum is 0", errNotMQTT)
	}
	return l, nil
}

// subscribe asks for messages at QoS 1, so that the broker waits until we have taken them.
func (c *Conn) subscribe(ctx context.Context, filters []string) error {
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: 1})
	}
	answer, err := c.client.Subscribe(ctx, s)
	if answer != nil {
		for i, code := range answer.Reasons {
			if code >= failure && i < len(filters) {
				return newSaidError(fmt.Sprintf("refuses the subscription to %q", filters[i]), code, "")
			}
		}
	}
	if errors.Is(err, paho.ErrConnectionLost) || err != nil && c.Err() != nil {
		return c.loss(ctx)
	}
	return err
}

// loss waits for the reason of a loss that paho has noticed, and returns it.
func (c *Conn) loss(ctx context.Context) error {
	select {
	case <-c.done:
		return c.reason()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hear is called for each message.
func (c *Conn) hear(r paho.PublishReceived) (bool, error) {
	if c.heard != nil {
		c.heard(topics.Message{Topic: r.Packet.Topic, Payload: r.Packet.Payload, Retain: r.Packet.Retain})
	}
	return true, nil
}

// noAuth is there because paho calls it, even if nobody has asked for an authentication method.
type noAuth struct{}

func (noAuth) Authenticated() {}

func (noAuth) Authenticate(*paho.Auth) *paho.Auth {
	return &paho.Auth{ReasonCode: packets.AuthSuccess}
}
