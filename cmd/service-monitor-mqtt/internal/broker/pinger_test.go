package broker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// An idle connection has one ping per keep-alive, and no timer wakes us otherwise. paho's own pings at once,
// too.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var pings []time.Duration
		c, end, err := pipe(t, Options{Settings: Settings{KeepAlive: time.Minute}}, func(f fake) {
			f.accept(packets.Properties{})
			for p := f.read(); p != nil; p = f.read() {
				switch m := p.Content.(type) {
				case *packets.Pingreq:
					pings = append(pings, time.Since(began))
					f.write(&packets.Pingresp{})
				case *packets.Publish:
					f.ack(m.PacketID, 0)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(130 * time.Second) // pings at 60 and 120
		if acked, err := c.Publish(t.Context(), numbered(1)); acked != 1 || err != nil {
			t.Error(acked, err)
		}
		time.Sleep(65 * time.Second) // a ping 60 seconds after the message, at 190
		if err := c.Err(); err != nil {
			t.Error(err)
		}
		end()
		want := []time.Duration{60 * time.Second, 120 * time.Second, 190 * time.Second}
		if len(pings) != 3 || pings[0] != want[0] || pings[1] != want[1] || pings[2] != want[2] {
			t.Errorf("pings at %v, want %v", pings, want)
		}
	})
}

func TestPingLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, end, err := pipe(t, Options{Settings: Settings{KeepAlive: time.Hour}}, func(f fake) {
			f.accept(packets.Properties{ServerKeepAlive: ptr(uint16(40))}) // the broker's counts
			for f.read() != nil {
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		if took := time.Since(began); took != 40*time.Second+pingTime || !strings.Contains(c.Err().Error(), errNoPing.Error()) {
			t.Errorf("after %v: %v", took, c.Err())
		}
		end()
	})
}
