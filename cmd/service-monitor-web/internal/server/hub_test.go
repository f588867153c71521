package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/cmd/internal/view"
)

// There are only so many streams. One whose client does not read is cut off, and makes room.
func TestStreams(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		var conns []net.Conn
		for range mostStreams {
			conn, _ := b.dial()
			go fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%v, %v", r, err)
			}
			conns = append(conns, conn)
		}
		conn, _ := b.dial()
		go fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("%v, %v", r, err)
		}
		conn.Close()
		// Nobody reads any more: all have a write under way that does not end.
		b.events <- view.Event{Kind: view.Told, Seq: 8, Data: []byte(`{"seq":8}`)}
		time.Sleep(flushIn + time.Second)
		synctest.Wait()
		b.stage.hub.mu.Lock()
		if n := len(b.stage.hub.streams); n != 0 {
			t.Errorf("%d streams", n)
		}
		b.stage.hub.mu.Unlock()
		for _, conn := range conns {
			conn.Close()
		}
		b.quit()
		<-b.ended
	})
}

// Each listener has its own part of the streams, however many of another there are.
func TestStreamsOfListeners(t *testing.T) {
	h := newHub(2)
	var some *stream
	for range mostStreams / 2 {
		if some = h.join("tcp"); some == nil {
			t.Fatal("there is room")
		}
	}
	if h.join("tcp") != nil {
		t.Error("there is no room")
	}
	if h.join("unix") == nil {
		t.Error("the other listener has room")
	}
	h.leave(some)
	if h.join("tcp") == nil {
		t.Error("there is room again")
	}
}

// What waits for slow clients is bounded.
func TestBehind(t *testing.T) {
	h := newHub(1)
	h.tell([]view.Event{{Kind: view.Ready, Seq: 1}})
	s := h.join("")
	data := []byte(strings.Repeat("x", 1000))
	for seq := uint64(2); seq < 5000; seq++ {
		h.tell([]view.Event{{Kind: view.Told, Seq: seq, Data: data}})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for _, f := range s.waiting {
		bytes += len(f.text)
	}
	if bytes > behind || !s.cut {
		t.Errorf("%d bytes wait; cut: %v", bytes, s.cut)
	}
}
