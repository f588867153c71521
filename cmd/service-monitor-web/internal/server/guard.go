// Package server answers requests of browsers and of Prometheus. It only tells: no request changes
// anything.
package server

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// longestPath is how many bytes a path with its query may have.
const longestPath = 2 << 10

// policy lets a page load nothing but what this program serves.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A guard refuses what no browser of a person and no Prometheus sends.
type guard struct {
	next  http.Handler
	hosts []string // the names by which this machine may be called, in lower case
}

// newGuard returns a guard before a handler. A client may call this machine by its addresses, by its own
// name, and by these.
func newGuard(next http.Handler, hosts []string) *guard {
	g := &guard{next: next, hosts: []string{"localhost"}}
	if name, err := os.Hostname(); err == nil {
		g.hosts = append(g.hosts, strings.ToLower(name))
	}
	for _, name := range hosts {
		g.hosts = append(g.hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	return g
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are allowed: this program cannot change anything")
	case len(r.RequestURI) > longestPath:
		refuse(w, http.StatusRequestURITooLong, "the path is too long")
	case overNetwork(r) && !g.known(r.Host):
		refuse(w, http.StatusMisdirectedRequest, "the name in Host is none of this machine; use its address, or start service-monitor-web with --allow-host NAME")
	case foreign(r):
		refuse(w, http.StatusForbidden, "a page of another origin must not read this")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// overNetwork reports whether a request may come from a browser. A unix socket has no name that another
// site could take.
func overNetwork(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return !ok || at.Network() != "unix"
}

// known reports whether a Host header names this machine. Otherwise a site could give its own name the
// address of this machine, and its pages could read everything (DNS rebinding). An address cannot be
// given away.
func (g *guard) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	return slices.Contains(g.hosts, name)
}

// foreign reports whether a page of another origin makes the request. Only a link to the page itself may
// be followed from elsewhere.
func foreign(r *http.Request) bool {
	h := r.Header
	link := r.URL.Path == "/" && h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
	switch h.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		if !link {
			return true
		}
	}
	origin := h.Get("Origin")
	if origin == "" && len(h.Values("Origin")) == 0 {
		return false
	}
	from, err := url.Parse(origin)
	return err != nil || from.Host == "" || !strings.EqualFold(from.Host, r.Host)
}

// refuse answers with an error in words.
func refuse(w http.ResponseWriter, code int, words string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { // if it cannot be written, nobody reads it
		Error string `json:"error"`
	}{words})
}
