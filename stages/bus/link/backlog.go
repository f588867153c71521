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

// itemCost is what an item costs beside its body, in bytes.
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
}

// backlog is the bounded queue between the reading of the socket, which never
// waits, and the source.
type backlog struct {
	ready chan struct{} // holds a token while there is something to get

	mu      sync.Mutex
	items   []Item
	bytes   int
	dropped map[string]int // signals per unit that did not fit
}

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), dropped: make(map[string]int)}
}

// put adds an item, or drops a signal that would exceed the bound and
// remembers whose it was. Anything but a signal always fits: the source asked
// for it, or there is one of it.
func (b *backlog) put(it Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cost := itemCost + len(it.Body)
	// Once one signal of a unit is dropped, those after it are no use either.
	if it.Kind == Signal && (b.bytes+cost > backlogBytes || b.dropped[it.Unit] > 0) {
		b.dropped[it.Unit]++
	} else {
		b.items = append(b.items, it)
		b.bytes += cost
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// get takes everything that waits. dropped is what was lost after it.
func (b *backlog) get() (items []Item, dropped map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, b.items, b.bytes = b.items, nil, 0
	if len(b.dropped) > 0 {
		dropped, b.dropped = b.dropped, make(map[string]int)
	}
	return items, dropped
}
