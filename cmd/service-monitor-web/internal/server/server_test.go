package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/internal/view"
)

// A fixed view is always the same.
type fixed struct {
	status *tell.Status
	err    error
}

func (f fixed) Now(_ context.Context, wants func(string) bool) (view.Snapshot, error) {
	if f.err != nil {
		return view.Snapshot{}, f.err
	}
	s := *f.status
	s.Units = nil
	for _, u := range f.status.Units {
		if wants(u.Unit) {
			s.Units = append(s.Units, u)
		}
	}
	return view.Snapshot{Status: &s, Connected: true, Seq: 7}, nil
}

func (f fixed) WithPlans(ctx context.Context) (view.Snapshot, error) { return f.Now(ctx, view.All) }

func (f fixed) Since(context.Context, uint64) ([]view.Event, error) { return nil, f.err }

func (f fixed) Follow(context.Context) error { return f.err }

func fixedView(units ...string) fixed {
	s := &tell.Status{Now: time.Unix(1_750_000_000, 0), AsOf: time.Unix(1_750_000_000, 0), Host: "gw", Troubles: []string{}}
	for _, unit := range units {
		s.Units = append(s.Units, &tell.Unit{Tally: tallyOf(unit, 1)})
	}
	return fixed{status: s}
}

// nowhere is a configuration without any files.
func nowhere(t *testing.T) config.Config {
	c := config.Default()
	c.State.File, c.Feed.Socket = t.TempDir()+"/state", t.TempDir()+"/feed"
	return c
}

// send returns the answer to a request.
func send(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1"+target, nil)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handlerOf(t *testing.T, v View, hosts ...string) http.Handler {
	return New(Options{View: v, Config: nowhere(t), Hosts: hosts}).server.Handler
}

// A bad query is told which key is wrong, and what it may be.
func TestQueries(t *testing.T) {
	h := handlerOf(t, fixedView("a.service", "mosquitto.service"))
	for target, want := range map[string]string{
		"/api/timeline?hours=0":              "400 hours must be a number from 1 to 168",
		"/api/timeline?hours=169":            "400 hours must be a number from 1 to 168",
		"/api/timeline?hours=":               "400 hours must be a number from 1 to 168",
		"/api/timeline?hours=%00":            "400 hours must be a number from 1 to 168",
		"/api/history?n=1e3":                 "400 n must be a number from 1 to 1000",
		"/api/why":                           "400 unit is missing; write /api/why?unit=NAME",
		"/api/why?unit=a&crash=-1":           "400 crash must be a number from 1",
		"/api/timeline?unit=mosquito":        "404 none of the monitored services is called mosquito.service; did you mean mosquitto?",
		"/api/history?unit=%3Cscript%3E":     "404 none of the monitored services is called",
		"/api/timeline?unit=":                "400 unit is empty; leave it out",
		"/api/history?unit=":                 "400 unit is empty; leave it out",
		"/events?after=x":                    "400 after must be the number of an event",
		"/events?after=-1":                   "400 after must be the number of an event",
		"/events?after=1.0":                  "400 after must be the number of an event",
		"/events?after=18446744073709551615": "400 after must be the number of an event",
	} {
		w := send(h, "GET", target)
		if got := fmt.Sprint(w.Code, " ", w.Body); !strings.HasPrefix(got, want[:4]) || !strings.Contains(got, want[4:]) || strings.Contains(got, "<script>") {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	for _, target := range []string{"/api/status", "/api/timeline", "/api/history", "/", "/metrics"} {
		w := send(handlerOf(t, fixed{err: view.ErrEnded}), "GET", target)
		if want := map[bool]int{true: 200, false: 503}[target == "/api/history"]; w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
}

// Nothing that a service may write into its name, its status or its last words is anything but text.
func TestHostile(t *testing.T) {
	const evil = `</script><script>alert(1)</script>` + "\u2028\x00\x1b[2J\"'&\n\ndata: x\n.service"
	v := fixedView(evil)
	v.status.Units[0].LastCrash.Cause.Result = evil
	v.status.Troubles = []string{evil}
	h := handlerOf(t, v)
	for _, target := range []string{"/api/status", "/api/timeline", "/", "/metrics"} {
		w := send(h, "GET", target)
		if w.Code != 200 || target != "/metrics" && strings.Contains(w.Body.String(), "<script>alert") {
			t.Errorf("%s: %d: %s", target, w.Code, w.Body)
		}
		if strings.HasPrefix(target, "/api") {
			var any map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &any); err != nil || strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("%s: %v: %s", target, err, w.Body)
			}
		}
	}
	text := string(textOf(&view.Event{Kind: view.Gone, Data: view.Quoted(evil)}))
	if strings.Count(text, "\n") != 3 || strings.Contains(text, "<script>") {
		t.Errorf("%q", text)
	}
}

// FuzzQuery wants each query and each Last-Event-ID to get an answer that is JSON or a stream.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"unit=a&n=3", "hours=168", "unit=%ff%00&crash=18446744073709551616", "after=7", "after=7.1", "after=9999999999.99"} {
		f.Add(q, "7.1")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, query, last string) {
		c := config.Default()
		c.State.File, c.Feed.Socket = dir+"/state", dir+"/feed"
		stage := New(Options{View: fixedView("a.service"), Config: c})
		stage.hub.tell([]view.Event{{Kind: view.Ready, Seq: 7}})
		for _, path := range []string{"/api/status", "/api/why", "/api/timeline", "/api/history", "/events", "/metrics", "/"} {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
			r.URL.RawQuery = query
			r.Header["Last-Event-Id"] = []string{last}
			ctx, cancel := context.WithCancel(r.Context())
			if path == "/events" {
				cancel() // it would never end
			}
			w := httptest.NewRecorder()
			stage.server.Handler.ServeHTTP(w, r.WithContext(ctx))
			cancel()
			if strings.HasPrefix(path, "/api") && !json.Valid(w.Body.Bytes()) || w.Code == 500 {
				t.Errorf("%s?%s: %d: %s", path, query, w.Code, w.Body)
			}
		}
	})
}
