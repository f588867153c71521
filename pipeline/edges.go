package pipeline

import "sync"

// Latest returns a stream for one receiver that never makes the sender of in wait: of
// the messages that its receiver has not yet taken, it keeps the newest per key, and
// delivers all that it keeps at once.
// What is kept is delivered before the stream ends.
func Latest[T any, K comparable](g *Graph, in *Stream[T], key func(T) K) *Stream[T] {
	place := make(map[K]int) // in what is kept
	l := &latest[T]{c: make(chan []T, 1)}
	l.renew = func(kept, messages []T) []T {
		if kept == nil {
			clear(place)
		}
		for _, v := range messages {
			k := key(v)
			if i, waiting := place[k]; waiting {
				kept[i] = v
				continue
			}
			place[k] = len(kept)
			kept = append(kept, v)
		}
		return kept
	}
	in.edges = append(in.edges, edge[T]{keep: l})
	g.health.keeping = append(g.health.keeping, l.keeps)
	return &Stream[T]{kept: l.c}
}

// latest keeps, in the room of a channel, what its receiver has not taken.
type latest[T any] struct {
	mu    sync.Mutex // or a round could find nothing kept while put has it in its hands
	c     chan []T
	renew func(kept, messages []T) []T
}

func (l *latest[T]) put(messages []T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []T
	select {
	case kept = <-l.c:
	default:
	}
	l.c <- l.renew(kept, messages) // nobody else sends, so there is room
}

func (l *latest[T]) close() { close(l.c) }

func (l *latest[T]) keeps() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.c) > 0
}

// Cut returns a stream for one receiver that never makes the sender of in wait: up to
// limit messages wait for the receiver, in order. If there are more, it is cut off, and
// its stream ends. To the stage that is a stop of its own: its Run ends as at any end of
// its input, and is called again, for what is sent from then on. missed is called with
// the number of messages that the stage will not receive: at the cut, and when Run is
// called again. It must not block.
func Cut[T any](in *Stream[T], limit int, missed func(messages int)) *Stream[T] {
	c := &cut[T]{limit: limit, missed: missed, c: make(chan []T, 1)}
	in.edges = append(in.edges, edge[T]{keep: c})
	return &Stream[T]{kept: c.c, cut: c}
}

// cut keeps, in the room of a channel, what its receiver has not taken.
type cut[T any] struct {
	limit  int
	missed func(messages int)

	mu    sync.Mutex
	c     chan []T // closed when off or ended
	off   bool     // its receiver was cut off, and is not back
	lost  int      // messages since
	ended bool     // the sender has returned
}

func (c *cut[T]) put(messages []T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		c.lost += len(messages)
		return
	}
	var kept []T
	select {
	case kept = <-c.c:
	default:
	}
	if all := len(kept) + len(messages); all > c.limit {
		c.off = true
		close(c.c)
		c.missed(all)
		return
	}
	c.c <- append(kept, messages...) // nobody else sends, so there is room
}

func (c *cut[T]) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended = true; !c.off {
		close(c.c)
	}
}

// rejoin returns the receiver's new channel, where it was cut off and more is sent.
func (c *cut[T]) rejoin() (<-chan []T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost > 0 {
		c.missed(c.lost)
	}
	if !c.off || c.ended {
		return nil, false
	}
	c.off, c.lost, c.c = false, 0, make(chan []T, 1)
	return c.c, true
}
