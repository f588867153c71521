package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
)

// Only the requests of a person's browser and of Prometheus are answered.
func TestGuard(t *testing.T) {
	h := handlerOf(t, fixedView("a.service"), "gateway.example.")
	name, _ := os.Hostname()
	for _, tt := range []struct {
		method, target string
		headers        []string
		code           int
	}{
		{"GET", "/api/status", nil, 200},
		{"HEAD", "/api/status", nil, 200},
		{"POST", "/api/status", nil, 405},
		{"OPTIONS", "/metrics", nil, 405},
		{"DELETE", "/", nil, 405},
		{"GET", "/nothing", nil, 404},
		{"GET", "/../../etc/passwd", nil, 404},
		{"GET", "/" + strings.Repeat("a", 4000), nil, 414},
		{"GET", "/-/healthy", []string{"Host", "[::1]:9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "192.168.1.7"}, 200},
		{"GET", "/-/healthy", []string{"Host", "LocalHost:80"}, 200},
		{"GET", "/-/healthy", []string{"Host", name + ":9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "gateway.example:9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "gateway.example.:9750"}, 200},
		{"GET", "/-/healthy", []string{"Host", "evil.example"}, 421},
		{"GET", "/metrics", []string{"Host", "evil.example"}, 421},
		{"GET", "/", []string{"Host", "127.0.0.1.evil.example:9750"}, 421},
		{"GET", "/", []string{"Host", ""}, 421},
		{"GET", "/", []string{"Host", "::1"}, 200},
		{"GET", "/api/status", []string{"Origin", "http://127.0.0.1"}, 200},
		{"GET", "/api/status", []string{"Origin", "http://evil.example"}, 403},
		{"GET", "/metrics", []string{"Origin", "null"}, 403},
		{"GET", "/api/status", []string{"Origin", ""}, 403},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "none"}, 200},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/metrics", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"GET", "/api/status", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
	} {
		w := send(h, tt.method, tt.target, tt.headers...)
		if w.Code != tt.code {
			t.Errorf("%s %.40s %q: %d, want %d: %s", tt.method, tt.target, tt.headers, w.Code, tt.code, w.Body)
		}
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s %.40s: %s: %q, want %q", tt.method, tt.target, header, got, want)
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
			t.Errorf("%.40s: %s", tt.target, csp)
		}
		if tt.code == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: Allow: %s", tt.method, w.Header().Get("Allow"))
		}
		var words struct{ Error string }
		if tt.code >= 400 && (json.Unmarshal(w.Body.Bytes(), &words) != nil || words.Error == "") {
			t.Errorf("%s %.40s: %s", tt.method, tt.target, w.Body)
		}
	}
}

// No request passes the guard, not even the one that net/http would answer itself.
func TestGuardOfServer(t *testing.T) {
	c := nowhere(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(fixedView("a.service"), c, 0)
		conn, _ := b.dial()
		go fmt.Fprintf(conn, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("X-Content-Type-Options") == "" {
			t.Errorf("%v, %v", r, err)
		}
		conn.Close()
		b.quit()
		<-b.ended
	})
}
