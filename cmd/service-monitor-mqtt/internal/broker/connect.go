package broker

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// How long each part of a connect may take.
const (
	dialTime      = 10 * time.Second // with the look-up of the name
	tlsTime       = 10 * time.Second
	connectTime   = 10 * time.Second // from CONNECT to CONNACK
	subscribeTime = 10 * time.Second
)

// receiveMaximum is how many messages the broker may send before we have acknowledged the first. paho makes
// room for as many; its default is 65,535.
const receiveMaximum = 32

// Options are what a connection needs.
type Options struct {
	Settings
	Credentials
	ClientID string
	// Will is what the broker publishes if the connection ends without Close. There is none without a topic.
	Will topics.Message
	// Subscribe has topics or filters.
	Subscribe []string
	// Heard is called for each message of a subscription, one after the other. It must not block: nothing
	// else is read from the broker meanwhile, not even acknowledgements.
	Heard func(topics.Message)
}

// A Conn is a connection. Its methods may be called at any time, but Publish by one goroutine only.
type Conn struct {
	wire    *wire
	session *state.State
	client  *paho.Client
	limits  limits
	heard   func(topics.Message)

	done chan struct{}
	once sync.Once
	err  error // why the connection is lost, once done is closed

	failed error // of an earlier Publish, after which we do not know what is acknowledged
}

// Connect makes a connection. Explain has words for its errors.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	e, err := parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("mqtt_broker %w", err)
	}
	raw, err := dial(ctx, e)
	if err != nil {
		return nil, err
	}
	return establish(ctx, raw, e, o)
}

func dial(ctx context.Context, e endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTime, timeOut("nobody answers", dialTime))
	defer cancel()
	// TCP's keep-alive would send a packet every 15 seconds.
	d := net.Dialer{KeepAlive: -1}
	raw, err := d.DialContext(ctx, e.network, e.address)
	return raw, because(ctx, err)
}

// establish does all that comes after the dial. It owns raw.
func establish(ctx context.Context, raw net.Conn, e endpoint, o Options) (*Conn, error) {
	conn := raw
	if e.tls {
		err := within(ctx, raw, tlsTime, "the other side does not finish the handshake of TLS", func(ctx context.Context) (err error) {
			conn, err = secure(ctx, raw, e.host, o)
			return err
		})
		if err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	c := newConn(conn, o)
	err := within(ctx, raw, connectTime, "the other side takes the connection and does not answer", func(ctx context.Context) error {
		return c.connect(ctx, o)
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if len(o.Subscribe) == 0 {
		return c, nil
	}
	err = within(ctx, raw, subscribeTime, "the broker does not answer a subscription", func(ctx context.Context) error {
		return c.subscribe(ctx, o.Subscribe)
	})
	if err != nil {
		_ = c.abort(err)
		return nil, err
	}
	return c, nil
}

// within calls do with a limit. The connection is closed at the limit, because paho does not look at the
// context while it writes.
func within(ctx context.Context, raw net.Conn, limit time.Duration, text string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, timeOut(text, limit))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err := because(ctx, do(ctx))
	if !stop() && err == nil { // closed at the last moment
		err = context.Cause(ctx)
	}
	return err
}

// because returns the reason why ctx has ended, if that is why there is an error.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// A timeoutError says what has not happened in time.
type timeoutError struct{ error }

func timeOut(text string, limit time.Duration) error {
	return timeoutError{fmt.Errorf("%s within %d seconds", text, limit/time.Second)}
}

// Done is closed when the connection is lost, or closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection is lost. It is nil before that, and after Close.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// lose notes why the connection is lost. The first reason counts.
func (c *Conn) lose(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.done)
	})
}

// abort ends the connection without DISCONNECT, so that the broker publishes the will. It returns why the
// connection is lost, which may be an earlier reason.
func (c *Conn) abort(err error) error {
	c.lose(err)
	_ = c.wire.Conn.Close()
	<-c.client.Done()
	return c.reason()
}

// reason returns why the connection was lost.
func (c *Conn) reason() error {
	if c.err == nil {
		return net.ErrClosed // by Close
	}
	return c.err
}

// Close takes leave of the broker, so that it does not publish the will. If there is no time for that, ctx is
// done already, and the broker publishes the will.
func (c *Conn) Close(ctx context.Context) {
	c.lose(nil)
	if ctx.Err() != nil {
		_ = c.wire.Conn.Close()
	}
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Conn.Close() })
	defer stop()
	_ = c.client.Disconnect(&paho.Disconnect{}) // it closes the connection and waits until paho has ended
}
