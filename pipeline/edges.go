package pipeline

import "sync"

// Latest returns a stream for one receiver. The sender of in never waits for that receiver.
// The stream keeps the newest message of each key until the receiver takes them all at
// once. Messages that are kept are delivered before the stream ends.
func Latest[T any, K comparable](g *Graph, in *Stream[T], key func(T) K) *Stream[T] {
	place := make(map[K]int) // where the message of a key is in kept
	l := &latest[T]{c: make(chan []T, 1)}
	l.renew = func(kept, messages []T) []T {
		if len(kept) == 0 {
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

// latest keeps the messages that its receiver has not taken, as the one element of a channel.
type latest[T any] struct {
	mu    sync.Mutex // so that keeps does not look while put has taken the messages out of c
	c     chan []T
	renew func(kept, messages []T) []T
	// These are the batches that were put into c last, the newest first. Only free is used again. When c is
	// empty, the receiver has received last, and so it has finished with previous. But under the Go memory
	// model, an empty c proves nothing. The send of last proves that the receiver has finished with free.
	last, previous, free []T
}

// roomy is for how many messages room is kept at most.
const roomy = 4 * BatchSize

func (l *latest[T]) put(messages []T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []T
	select {
	case kept = <-l.c:
	default: // the receiver has received last
		kept, l.free, l.previous = l.free[:0], l.previous, l.last
	}
	l.last = l.renew(kept, messages)
	l.c <- l.last // only put sends, so there is room
	if cap(l.last) > roomy {
		l.last = nil
	}
}

func (l *latest[T]) close() { close(l.c) }

func (l *latest[T]) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.previous, l.free = nil, nil, nil
}

func (l *latest[T]) keeps() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.c) > 0
}

// Cut returns a stream for one receiver. The sender of in never waits for that receiver. Up
// to limit messages wait for the receiver, in order. If there are more, the receiver is cut
// off: its stream ends, and its Run ends as at a stop. Run is then called again and receives
// the messages that are sent from then on. missed is called with the number of messages that
// the stage will not receive, at the cut and again when Run is called again. It must not
// block.
func Cut[T any](in *Stream[T], limit int, missed func(messages int)) *Stream[T] {
	c := &cut[T]{limit: limit, missed: missed, c: make(chan []T, 1)}
	in.edges = append(in.edges, edge[T]{keep: c})
	return &Stream[T]{kept: c.c, cut: c}
}

// cut keeps the messages that its receiver has not taken, as the one element of a channel.
type cut[T any] struct {
	limit  int
	missed func(messages int)

	mu    sync.Mutex
	c     chan []T // closed if off or ended
	off   bool     // the receiver was cut off and has not come back yet
	lost  int      // how many messages were sent since the cut
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
	c.c <- append(kept, messages...) // only put sends, so there is room
}

func (c *cut[T]) rest() {} // it keeps no room

func (c *cut[T]) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended = true; !c.off {
		close(c.c)
	}
}

// rejoin returns a new channel for a receiver that was cut off, unless the sender has ended.
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
