package server

import (
	"bytes"
	"sync"

	"service-monitor/cmd/internal/view"
)

const (
	// mostStreams is how many event streams there may be.
	mostStreams = 32
	// behind is how many bytes may wait for one of them. All share the texts that wait, so however many
	// are slow, no more memory is taken.
	behind = 1 << 20
)

// A hub hands each event to all streams.
type hub struct {
	mu      sync.Mutex
	seq     uint64 // the last record that was told
	streams map[*stream]bool
	most    int            // streams of one listener
	of      map[string]int // streams by listener
	ready   chan struct{}  // closed when seq is known
	closed  bool
}

// A stream is one client that follows.
type stream struct {
	from    uint64 // the last record that was told before
	at      string // its listener
	mu      sync.Mutex
	waiting []frame
	owed    int
	cut     bool          // it was too slow, or all is over
	news    chan struct{} // has room for one token
}

// A frame is an event as text.
type frame struct {
	view.Event
	text []byte
}

// newHub returns a hub for so many listeners. Each has its own part of the streams, so that clients of one
// cannot keep away those of another.
func newHub(listeners int) *hub {
	return &hub{streams: map[*stream]bool{}, most: max(1, mostStreams/max(1, listeners)), of: map[string]int{}, ready: make(chan struct{})}
}

// join adds a stream of a listener; nil if there are too many, or all is over.
func (h *hub) join(at string) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.of[at] >= h.most {
		return nil
	}
	h.of[at]++
	s := &stream{from: h.seq, at: at, news: make(chan struct{}, 1)}
	h.streams[s] = true
	return s
}

// leave removes a stream.
func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
	h.of[s.at]--
}

// tell hands events to all streams.
func (h *hub) tell(events []view.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case view.Ready:
			h.seq = e.Seq
			close(h.ready)
			continue
		case view.Told, view.Reset:
			h.seq = e.Seq
		}
		if len(h.streams) == 0 {
			continue
		}
		f := frame{*e, textOf(e)}
		for s := range h.streams {
			s.put(f)
		}
	}
}

// close ends all streams, and lets no other begin.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.streams {
		s.end()
	}
}

func (s *stream) put(f frame) {
	s.mu.Lock()
	if s.owed += len(f.text); s.owed > behind {
		s.cut = true
	}
	if !s.cut {
		s.waiting = append(s.waiting, f)
	}
	s.mu.Unlock()
	s.wake()
}

func (s *stream) end() {
	s.mu.Lock()
	s.cut = true
	s.mu.Unlock()
	s.wake()
}

func (s *stream) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// take returns what waits. If the stream was cut off, more is false.
func (s *stream) take() (frames []frame, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return nil, false
	}
	frames, s.waiting, s.owed = s.waiting, nil, 0
	return frames, true
}

// textOf returns an event as a stream has it. Its data is JSON, and so without line breaks.
func textOf(e *view.Event) []byte {
	var b bytes.Buffer
	b.WriteString("event: " + e.Kind + "\n")
	if e.Kind == view.Told || e.Kind == view.Reset {
		b.WriteString("id: " + e.ID() + "\n")
	}
	b.WriteString("data: ")
	b.Write(e.Data)
	b.WriteString("\n\n")
	return b.Bytes()
}
