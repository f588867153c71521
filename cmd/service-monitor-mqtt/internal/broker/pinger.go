package broker

import (
	"context"
	"errors"
	"net"
	"time"

	paholog "github.com/eclipse/paho.golang/paho/log"
)

// pingTime is how long a broker may take for the answer to a ping.
const pingTime = 20 * time.Second

var errNoPing = errors.New("the broker does not answer a ping")

// A pinger keeps an idle connection alive, and finds out that it is lost. paho's own pings at once after the
// connect, and takes a whole keep-alive to miss an answer, which may be hours.
type pinger struct {
	conn    *Conn
	answers chan struct{}
}

func newPinger(c *Conn) *pinger { return &pinger{c, make(chan struct{}, 1)} }

// Run pings whenever nothing was sent for as long as the keep-alive. While messages are sent, their
// acknowledgements show that the broker lives.
func (p *pinger) Run(ctx context.Context, _ net.Conn, keepAlive uint16) error {
	if keepAlive == 0 { // the broker wants none
		return nil
	}
	idle := time.Duration(keepAlive) * time.Second
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for waiting := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-p.answers:
			waiting = false
			timer.Reset(idle - time.Since(p.conn.wire.lastSent()))
		case <-timer.C:
			if waiting {
				p.conn.lose(errNoPing) // before paho closes the connection, and that is taken for the reason
				return errNoPing
			}
			if left := idle - time.Since(p.conn.wire.lastSent()); left > 0 {
				timer.Reset(left)
				continue
			}
			if err := p.conn.wire.ping(); err != nil {
				return err
			}
			waiting = true
			timer.Reset(pingTime)
		}
	}
}

// PingResp is called when a ping is answered.
func (p *pinger) PingResp() {
	select {
	case p.answers <- struct{}{}:
	default:
	}
}

// The wire knows what was sent, and acknowledgements need no note here.
func (p *pinger) PacketSent()               {}
func (p *pinger) PacketReceived()           {}
func (p *pinger) SetDebug(_ paholog.Logger) {}
