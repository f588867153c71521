package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// take reads n messages and returns their identifiers.
func (f fake) take(n int) []uint16 {
	f.t.Helper()
	var ids []uint16
	for range n {
		if p := next[*packets.Publish](f); p != nil {
			ids = append(ids, p.PacketID)
		}
	}
	return ids
}

func TestPublish(t *testing.T) {
	type answers struct {
		order  []int        // in which order messages are acknowledged
		reason map[int]byte // other than success
		close  bool
	}
	for _, tt := range []struct {
		name    string
		n       int
		answers answers
		acked   int
		want    string
		refused bool
	}{
		{"none", 0, answers{}, 0, "", false},
		{"in order", 3, answers{order: []int{0, 1, 2}}, 3, "", false},
		{"out of order", 3, answers{order: []int{2, 1, 0}}, 3, "", false},
		{"nobody subscribes", 1, answers{order: []int{0}, reason: map[int]byte{0: 0x10}}, 1, "", false},
		{"closes", 3, answers{close: true}, 0, "closed", false},
		{"closes in the middle", 3, answers{order: []int{0, 1}, close: true}, 2, "closed", false},
		{"closes with a gap", 3, answers{order: []int{0, 2}, close: true}, 1, "closed", false},
		{"refuses the first", 3, answers{order: []int{0, 1, 2}, reason: map[int]byte{0: 0x87}}, 0, `refuses "t/0": not authorized`, true},
		{"refuses two", 4, answers{order: []int{3, 2, 1, 0}, reason: map[int]byte{1: 0x97, 3: 0x87}}, 1, `refuses "t/1": quota exceeded`, true},
		{"refuses and closes", 3, answers{order: []int{0, 1}, reason: map[int]byte{1: 0x97}, close: true}, 1, "closed", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, func(f fake) {
				f.accept(packets.Properties{})
				ids := f.take(tt.n)
				for _, i := range tt.answers.order {
					f.ack(ids[i], tt.answers.reason[i])
				}
				if !tt.answers.close {
					f.read() // DISCONNECT
				}
			})
			acked, err := c.Publish(t.Context(), numbered(tt.n))
			if acked != tt.acked || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrRefused) != tt.refused {
				t.Errorf("acked %d: %v; want %d: %s", acked, err, tt.acked, tt.want)
			}
			if tt.answers.close {
				<-c.Done()
				if again, sameErr := c.Publish(t.Context(), numbered(1)); again != 0 || sameErr != err || c.Err() == nil {
					t.Errorf("afterwards: %d, %v, %v", again, sameErr, c.Err())
				}
			}
		})
	}
}

// The broker gets no more messages at once than it wants, and gets all in order.
func TestReceiveMaximum(t *testing.T) {
	const n = 40
	for _, window := range []uint16{1, 2, 7} {
		var got []string
		served := make(chan struct{})
		c := connect(t, func(f fake) {
			defer close(served)
			f.accept(packets.Properties{ReceiveMaximum: ptr(window)})
			for len(got) < n {
				var ids []uint16
				for range min(int(window), n-len(got)) {
					p := next[*packets.Publish](f)
					got, ids = append(got, p.Topic), append(ids, p.PacketID)
				}
				// One more message would be here now, if it was sent without an acknowledgement.
				_ = f.SetReadDeadline(time.Now().Add(time.Millisecond))
				if p := f.read(); p != nil {
					t.Errorf("receive maximum %d: too early: %s", window, p)
				}
				_ = f.SetReadDeadline(time.Time{})
				for _, id := range ids {
					f.ack(id, 0)
				}
			}
			f.read()
		})
		if acked, err := c.Publish(t.Context(), numbered(n)); acked != n || err != nil {
			t.Errorf("receive maximum %d: %d, %v", window, acked, err)
		}
		c.Close(t.Context())
		<-served
		for i, m := range numbered(n) {
			if got[i] != m.Topic {
				t.Fatalf("receive maximum %d: got %v", window, got)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	c := connect(t, func(f fake) {
		f.accept(packets.Properties{MaximumPacketSize: ptr(uint32(100)), RetainAvailable: ptr(byte(0))})
		for {
			p := f.read()
			if p == nil {
				return
			}
			if m, ok := p.Content.(*packets.Publish); ok {
				f.ack(m.PacketID, 0)
			}
		}
	})
	for _, tt := range []struct {
		name string
		bad  topics.Message
		want string
	}{
		{"no topic", topics.Message{}, "0 bytes"},
		{"long topic", topics.Message{Topic: strings.Repeat("t", 65536)}, "65536 bytes"},
		{"large", topics.Message{Topic: "t", Payload: make([]byte, 100)}, "takes 100"},
		{"retained", topics.Message{Topic: "t", Retain: true}, "keeps no messages"},
	} {
		acked, err := c.Publish(t.Context(), slices.Insert(numbered(3), 2, tt.bad))
		if acked != 2 || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d, %v", tt.name, acked, err)
		}
	}
	if acked, err := c.Publish(t.Context(), numbered(3)); acked != 3 || err != nil {
		t.Errorf("afterwards: %d, %v", acked, err)
	}
}

// A broker that accepts messages and never acknowledges them, or does not even read.
func TestSilentBroker(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(f fake)
		acked  int
		want   time.Duration
	}{
		{"never acknowledges", func(f fake) { f.take(3) }, 0, ackTime},
		{"acknowledges one, late", func(f fake) { ids := f.take(3); time.Sleep(ackTime / 2); f.ack(ids[0], 0) }, 1, ackTime * 3 / 2},
		{"acknowledges all but the first", func(f fake) { ids := f.take(3); f.ack(ids[1], 0); f.ack(ids[2], 0) }, 0, ackTime},
		{"does not read", func(f fake) {}, 0, writeTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				c, end, err := pipe(t, Options{}, func(f fake) {
					f.accept(packets.Properties{})
					tt.answer(f)
					<-stop
				})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				acked, err := c.Publish(t.Context(), numbered(3))
				if took := time.Since(began); acked != tt.acked || err == nil || took != tt.want {
					t.Errorf("acked %d after %v: %v; want %d after %v", acked, took, err, tt.acked, tt.want)
				}
				<-c.Done() // it is useless
				close(stop)
				end()
			})
		})
	}
}

func TestPublishCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan bool, 1)
	c := connect(t, func(f fake) {
		f.accept(packets.Properties{})
		f.ack(f.take(3)[0], 0)
		cancel()
		p := f.read()
		left <- p != nil && p.Type == packets.DISCONNECT
	})
	if acked, err := c.Publish(ctx, numbered(3)); acked > 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", acked, err)
	}
	c.Close(t.Context())
	if !<-left || c.Err() != nil {
		t.Errorf("left without DISCONNECT, %v", c.Err())
	}
}
