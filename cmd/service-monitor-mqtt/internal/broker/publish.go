package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/session"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/stages/row"
)

const (
	// ackTime is how long the broker may leave us without the acknowledgement that is next.
	ackTime = 20 * time.Second
	// batchSize is how many bytes of messages are sent in one piece. A piece saves the headers of TCP and TLS,
	// about 80 bytes a message.
	batchSize = 4 << 10
)

var (
	// ErrRefused is the error for a message that the broker does not take. The connection goes on.
	ErrRefused = errors.New("the broker refuses a message")

	errSilent = timeOut("the broker does not acknowledge a message", ackTime)
)

// Publish publishes messages at QoS 1, in order. acked is how many of them, from the first on, are
// acknowledged, and it is right after an error, too. Later ones may have arrived nevertheless.
//
// After ErrRefused, messages[acked] is the one that the broker has refused, and the caller may go on with the
// next one. After any other error nothing but Close is of use.
func (c *Conn) Publish(ctx context.Context, messages []topics.Message) (acked int, err error) {
	if c.failed != nil {
		return 0, c.failed
	}
	p := publishing{conn: c, timer: time.NewTimer(ackTime)}
	defer p.timer.Stop()
	for i := range messages {
		if err = p.send(ctx, &messages[i]); err != nil {
			break
		}
	}
	// What was sent before an error is acknowledged, perhaps.
	if rest := p.finish(ctx); err == nil || errors.Is(err, ErrRefused) && rest != nil {
		err = rest
	}
	if err != nil && !errors.Is(err, ErrRefused) {
		c.failed = err
	}
	return p.acked, err
}

// publishing is one call of Publish.
type publishing struct {
	conn    *Conn
	batch   bytes.Buffer // packets that are not sent yet
	flights []flight     // messages that are not acknowledged, the oldest first
	acked   int
	refused error // the first refusal: acked does not grow any more
	timer   *time.Timer
}

// A flight is a message that waits for its acknowledgement.
type flight struct {
	topic  string
	answer chan packets.ControlPacket
}

// send sends a message, at the latest when the batch is full or when we wait.
func (p *publishing) send(ctx context.Context, m *topics.Message) error {
	if err := p.conn.limits.check(m); err != nil {
		return err
	}
	for len(p.flights) >= p.conn.limits.window {
		if err := p.await(ctx); err != nil {
			return err
		}
		if p.refused != nil {
			return p.refused
		}
	}
	packet := &packets.Publish{Topic: m.Topic, Payload: m.Payload, Retain: m.Retain, QoS: 1, Properties: &packets.Properties{}}
	answer := make(chan packets.ControlPacket, 1)
	err := p.conn.session.AddToSession(ctx, packet, answer)
	if errors.Is(err, session.ErrNoConnection) {
		return p.conn.loss(ctx)
	}
	if err != nil {
		return err
	}
	_, _ = packet.WriteTo(&p.batch)
	p.flights = append(p.flights, flight{m.Topic, answer})
	if p.batch.Len() < batchSize {
		return nil
	}
	return p.flush()
}

// flush sends the batch.
func (p *publishing) flush() error {
	if p.batch.Len() == 0 {
		return nil
	}
	err := p.conn.wire.send(p.batch.Bytes())
	p.batch.Reset()
	if err != nil {
		return p.conn.abort(lost(err))
	}
	return nil
}

// finish waits for all acknowledgements.
func (p *publishing) finish(ctx context.Context) error {
	for len(p.flights) > 0 {
		if err := p.await(ctx); err != nil {
			return err
		}
	}
	return p.refused
}

// await waits for the acknowledgement of the oldest message.
func (p *publishing) await(ctx context.Context) error {
	if err := p.flush(); err != nil {
		p.drain()
		return err
	}
	oldest := p.flights[0]
	p.timer.Reset(ackTime)
	select {
	case answer := <-oldest.answer:
		return p.take(answer)
	case <-p.conn.done:
		p.drain()
		return p.conn.loss(ctx)
	case <-ctx.Done():
		p.drain()
		return ctx.Err()
	case <-p.timer.C:
		err := p.conn.abort(errSilent)
		p.drain()
		return err
	}
}

// drain takes the acknowledgements that are there already.
func (p *publishing) drain() {
	for len(p.flights) > 0 {
		select {
		case answer := <-p.flights[0].answer:
			if p.take(answer) != nil {
				return
			}
		default:
			return
		}
	}
}

// take takes the answer to the oldest message.
func (p *publishing) take(answer packets.ControlPacket) error {
	topic := p.flights[0].topic
	p.flights = p.flights[1:]
	ack, ok := answer.Content.(*packets.Puback)
	switch {
	case !ok:
		return p.conn.abort(fmt.Errorf("%w: it answers a message with another packet", errNotMQTT))
	case ack.ReasonCode >= failure && p.refused == nil:
		p.refused = fmt.Errorf("%w: %w", ErrRefused, newSaidError("refuses "+row.Quote(topic), ack.ReasonCode, textOf(ack.Properties)))
	case p.refused == nil:
		p.acked++
	}
	return nil
}

// check refuses what the broker would answer with the end of the connection.
func (l limits) check(m *topics.Message) error {
	// The fixed header, two lengths and the packet identifier have 13 bytes or less.
	size := 13 + len(m.Topic) + len(m.Payload)
	switch {
	case m.Topic == "" || len(m.Topic) > longestText:
		return fmt.Errorf("%w: the topic has %d bytes, and MQTT allows 1 to %d", ErrRefused, len(m.Topic), longestText)
	case l.packet > 0 && size > l.packet:
		return fmt.Errorf("%w: %s has %d bytes, and the broker takes %d", ErrRefused, row.Quote(m.Topic), size, l.packet)
	case m.Retain && !l.retains:
		return fmt.Errorf("%w: %s, because it keeps no messages", ErrRefused, row.Quote(m.Topic))
	}
	return nil
}
