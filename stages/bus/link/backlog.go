package link

import (
	"encoding/binary"
	"sync"
	"time"
)

// backlogBytes bounds what waits between the socket and the source. At about
// 1.5 KB per signal it holds a burst of a thousand changes, all of which the
// stages have to fall behind for it to fill.
const backlogBytes = 2 << 20

// itemCost is what an item costs beside what was read, in bytes.
const itemCost = 128

// Kind says what an Item is.
type Kind uint8

// The kinds of Item.
const (
	Signal   Kind = iota // PropertiesChanged of a watched unit
	Reply                // to a call
	Reloaded             // PID 1 has reloaded its configuration
	NewOwner             // PID 1 has a new unique name, and may have forgotten us
	Lost                 // the connection is gone; nothing follows
)

// An Item is what the link took off the stream.
type Item struct {
	Kind  Kind
	Unit  string // of a Signal
	Body  []byte // of a Signal, sa{sv}as, or a Reply
	Order binary.ByteOrder
	Time  time.Time // when it was read from the socket
	// Serial is that of the call that is replied to. A call to a name without an
	// owner, or whose owner left before it replied, has Nobody for a reply.
	Serial uint32
	Nobody bool
	Err    error // of a Reply or of Lost

	cost int // bytes that it keeps in memory
}

// backlog is the bounded queue between the reading of the socket, which never
// waits, and the source.
type backlog struct {
	ready chan struct{} // holds a token while there is something to get

	mu      sync.Mutex
	items   []Item
	spare   []Item // the ones before; who got them has done with them
	bytes   int
	dropped map[string]int // signals per unit that did not fit
}

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), dropped: make(map[string]int)}
}

// put adds items, and reports whether more than half of the bound waits. Signals that
// would exceed it are dropped, and it is remembered whose they were. Anything but a
// signal always fits: the source asked for it, or there is one of it.
func (b *backlog) put(items []Item) (much bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range items {
		// Once one signal of a unit is dropped, those after it are no use either.
		if it.Kind == Signal && (b.bytes+it.cost > backlogBytes || b.dropped[it.Unit] > 0) {
			b.dropped[it.Unit]++
			continue
		}
		b.items = append(b.items, it)
		b.bytes += it.cost
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return b.bytes > backlogBytes/2
}

// get takes everything that waits, which is the caller's until it gets more. dropped
// is what was lost after it.
func (b *backlog) get() (items []Item, dropped map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, b.items, b.bytes = b.items, b.spare[:0], 0
	b.spare = items
	if len(b.dropped) > 0 {
		dropped, b.dropped = b.dropped, make(map[string]int)
	}
	return items, dropped
}
