package server

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Clients that ask and do not read take no more answers than there are turns. Meanwhile others are told to
// come back, and what is not an answer of that size needs no turn. When the slow ones were cut off, all is well.
func TestTurns(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		var slow []net.Conn
		for range mostAnswers {
			conn, _ := b.dial()
			if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			slow = append(slow, conn)
		}
		synctest.Wait()
		ask := func(path string) (int, string) {
			conn, _ := b.dial()
			defer conn.Close()
			code, text, err := request(conn, path)
			if err != nil {
				t.Fatal(err)
			}
			return code, text
		}
		if code, _ := ask("/-/healthy"); code != http.StatusOK {
			t.Errorf("healthy: %d", code)
		}
		begun := time.Now()
		if code, text := ask("/metrics"); code != http.StatusServiceUnavailable || !strings.Contains(text, "ask again") || time.Since(begun) != patience {
			t.Errorf("%d after %v: %s", code, time.Since(begun), text)
		}
		time.Sleep(writeIn)
		if code, _ := ask("/metrics"); code != http.StatusOK {
			t.Errorf("after they were cut off: %d", code)
		}
		for _, conn := range slow {
			conn.Close()
		}
		b.quit()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
	})
}
