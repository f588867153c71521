package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/service-monitor-web/internal/page"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
)

// A message is one of a stream.
type message struct {
	kind string
	data []byte
	seq  uint64
}

// A site serves a world, and lets things happen in it:
//
//	/demo/crash?unit=NAME      the unit crashes, and systemd is going to restart it
//	/demo/start?unit=NAME      the unit starts
//	/demo/gone?unit=NAME       it is no longer monitored; with silent=true, nobody is told
//	/demo/cut                  all streams break, and no new one begins
//	/demo/mend                 a new one may begin again
//	/demo/reset                all streams are told to begin anew
//	/demo/monitor?runs=false   the monitor stops, or starts again
//	/demo/trouble?text=TEXT    something is wrong with the monitor; nothing, if TEXT is empty
//	/demo/clock?by=DURATION    the wall clock is set, to so much later
//	/demo/text                 what service-monitor status prints now
//	/demo/spans                times in seconds, and how the commands say them
type site struct {
	mu      sync.Mutex
	world   *world
	streams map[chan message]bool
	broken  bool
	off     time.Duration // what the wall clock of the gateway is ahead of the one here
}

func (s *site) now() time.Time { return time.Now().Add(s.off) }

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page.Handler(s.statusText))
	mux.HandleFunc("GET /api/status", s.answer(func(*http.Request) (any, error) { return s.world.statusText(s.now()), nil }))
	mux.HandleFunc("GET /api/why", s.answer(s.why))
	mux.HandleFunc("GET /api/timeline", s.answer(func(r *http.Request) (any, error) {
		hours, _ := strconv.Atoi(r.FormValue("hours"))
		now := s.now()
		return s.world.timeline(now.Add(-time.Duration(hours)*time.Hour), now, r.FormValue("unit")), nil
	}))
	mux.HandleFunc("GET /api/history", s.answer(s.history))
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /-/healthy", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /demo/{what}", s.control)
	return mux
}

func (s *site) statusText() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	err := s.world.status(s.now()).WritePage(&b, true, s.world.seq())
	return b.Bytes(), err
}

// answer serves what f returns as JSON.
func (s *site) answer(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		out, err := f(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			out = map[string]string{"error": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(out)
	}
}

func (s *site) why(r *http.Request) (any, error) {
	number, _ := strconv.ParseInt(r.FormValue("crash"), 10, 64)
	y := s.world.why(s.now(), r.FormValue("unit"), number)
	if y == nil {
		return nil, fmt.Errorf("none of the monitored services is called %q; service-monitor status lists them all", r.FormValue("unit"))
	}
	var b bytes.Buffer
	err := y.WriteJSON(&b)
	return json.RawMessage(b.Bytes()), err
}

func (s *site) history(r *http.Request) (any, error) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	list := []json.RawMessage{}
	for i := range s.world.records {
		if rec := &s.world.records[i]; rec.Unit == r.FormValue("unit") {
			list = append(list, s.world.event(i))
		}
	}
	return list[max(0, len(list)-cmp.Or(n, 50)):], nil
}

// event returns a record as JSON.
func (w *world) event(i int) json.RawMessage {
	var b bytes.Buffer
	if err := tell.WriteJSON(&b, &w.records[i]); err != nil {
		panic(err) // a buffer takes everything
	}
	return bytes.TrimSpace(b.Bytes())
}

// events serves a stream.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseUint(cmp.Or(r.Header.Get("Last-Event-ID"), r.FormValue("after")), 10, 64)
	s.mu.Lock()
	if s.broken {
		s.mu.Unlock()
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var missed []message
	for i := range s.world.records {
		if seq := s.world.records[i].Seq; seq > after {
			missed = append(missed, message{"event", s.world.event(i), seq})
		}
	}
	mine := make(chan message, 100)
	s.streams[mine] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, mine)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	fmt.Fprint(w, "retry: 100\n\n")
	for _, m := range missed {
		m.write(w)
	}
	for flush() == nil {
		select {
		case m, open := <-mine:
			if !open {
				return
			}
			m.write(w)
		case <-r.Context().Done():
			return
		}
	}
}

func (m message) write(w http.ResponseWriter) {
	if m.seq > 0 {
		fmt.Fprintf(w, "id: %d\n", m.seq)
	}
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", m.kind, m.data)
}

// tell sends a message to all streams.
func (s *site) tell(m message) {
	for c := range s.streams {
		c <- m
	}
}

func (s *site) control(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, unit := s.now(), r.FormValue("unit")
	at := slices.IndexFunc(s.world.units, func(t *count.Tally) bool { return t.Unit == unit })
	what := r.PathValue("what")
	if at < 0 && slices.Contains([]string{"crash", "start", "gone"}, what) {
		http.Error(w, "there is no such unit", http.StatusNotFound)
		return
	}
	switch what {
	case "crash":
		s.world.crash(s.world.units[at], now, killed, true, "last words of the demo")
		s.changed(now, unit)
	case "start":
		s.world.start(s.world.units[at], now)
		s.changed(now, unit)
	case "gone":
		s.world.units = slices.Delete(s.world.units, at, at+1)
		if data, _ := json.Marshal(map[string]string{"unit": unit}); r.FormValue("silent") == "" {
			s.tell(message{"gone", data, 0})
		}
	case "cut":
		s.broken = true
		for c := range s.streams {
			close(c)
		}
		clear(s.streams)
	case "mend":
		s.broken = false
	case "reset":
		s.tell(message{"reset", []byte("{}"), 0})
	case "monitor":
		if s.world.stopped = now.In(zone); r.FormValue("runs") != "false" {
			s.world.stopped = time.Time{}
		}
		s.tell(message{"monitor", s.world.statusText(now).Monitor, 0})
	case "trouble":
		s.world.troubles = nil
		if text := r.FormValue("text"); text != "" {
			s.world.troubles = []string{text}
		}
		s.tell(message{"monitor", s.world.statusText(now).Monitor, 0})
	case "clock":
		s.set(now, r.FormValue("by"))
	case "text":
		s.world.status(now).Write(w, tell.Screen{Zone: zone, Long: true})
	case "spans":
		spans := map[string]string{}
		for n := 0.0; n < 1e7; n = n*1.37 + 0.0625 {
			spans[fmt.Sprint(n)] = tell.Span(time.Duration(n * float64(time.Second)))
		}
		_ = json.NewEncoder(w).Encode(spans)
	default:
		http.NotFound(w, r)
	}
}

// set sets the wall clock, and tells that.
func (s *site) set(from time.Time, by string) {
	d, _ := time.ParseDuration(by)
	s.off += d
	s.world.began = s.world.began.Add(d) // the clock that nobody can set goes on
	to := s.now()
	s.world.record(nil, store.Record{Kind: store.Clock, Time: to, From: from.Format(time.RFC3339Nano), To: to.Format(time.RFC3339Nano)})
	s.changed(to, "")
}

// changed tells the last record, and how its unit is after that.
func (s *site) changed(now time.Time, unit string) {
	last := len(s.world.records) - 1
	s.world.records[last].Seq = uint64(last + 1)
	seq := s.world.records[last].Seq
	s.tell(message{"event", s.world.event(last), seq})
	for _, data := range s.world.statusText(now).Units {
		var u struct {
			Unit string `json:"unit"`
		}
		if json.Unmarshal(data, &u) == nil && u.Unit == unit {
			s.tell(message{"unit", data, seq})
		}
	}
}
