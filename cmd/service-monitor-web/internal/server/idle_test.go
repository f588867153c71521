package server

import (
	"bufio"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// The server ends when nobody has asked for long enough, or follows. Whoever follows hears something now
// and then.
func TestIdleExit(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := newBed(fixedView("a.service"), c, 2*time.Minute)
		time.Sleep(time.Minute)
		conn, _ := b.dial()
		if code, _, err := request(conn, "/api/status"); code != http.StatusOK || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		time.Sleep(time.Minute)
		conn, _ = b.dial()
		go fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		pings := 0
		for lines := bufio.NewScanner(r.Body); pings < 40 && lines.Scan(); {
			if lines.Text() == ":" {
				pings++
			}
		}
		if took := time.Since(begun); took < 40*pingEvery {
			t.Errorf("%d pings after %v", pings, took)
		}
		conn.Close()
		left := time.Now()
		if err := <-b.ended; err != nil || time.Since(left) < 2*time.Minute || time.Since(left) > 4*time.Minute {
			t.Errorf("ended after %v, %v", time.Since(left), err)
		}
	})
}

// However short that time is, the server waits for the client that it was started for. If none comes, it ends
// all the same.
func TestFirstRequest(t *testing.T) {
	c := nowhere(t)
	for _, asks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			b := newBed(fixedView("a.service"), c, time.Millisecond)
			want := firstAfter
			if asks {
				want = firstAfter / 2
				time.Sleep(want)
				conn, _ := b.dial()
				if code, _, err := request(conn, "/-/healthy"); code != http.StatusOK || err != nil {
					t.Errorf("%d, %v", code, err)
				}
			}
			if err := <-b.ended; err != nil || time.Since(begun) < want || time.Since(begun) > want+time.Second {
				t.Errorf("asks %t: ended after %v, %v; want %v", asks, time.Since(begun), err, want)
			}
		})
	}
}
