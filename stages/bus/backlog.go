package bus

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

type kind uint8

const (
	signal   kind = iota // PropertiesChanged of a watched unit
	reply                // to a request of ours
	reloaded             // PID 1 has reloaded its configuration
	newOwner             // PID 1 has a new unique name
	lost                 // the connection is gone; nothing follows
)

// An item is what the connection took off the stream.
type item struct {
	kind   kind
	unit   string
	body   []byte
	order  binary.ByteOrder
	time   time.Time
	serial uint32
	err    error
	nobody bool // no reply, because nobody owns the name that was called
}

// backlog is the bounded queue between the reading of the socket, which never
// waits, and the source.
type backlog struct {
	ready chan struct{} // holds a token while there is something to get

	mu      sync.Mutex
	items   []item
	bytes   int
	dropped map[string]int // signals per unit that did not fit
}

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), dropped: make(map[string]int)}
}

// put adds an item, or drops a signal that would exceed the bound and
// remembers whose it was. Anything but a signal always fits: the source asked
// for it, or there is one of it.
func (b *backlog) put(it item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cost := itemCost + len(it.body)
	// Once one signal of a unit is dropped, those after it are no use either.
	if it.kind == signal && (b.bytes+cost > backlogBytes || b.dropped[it.unit] > 0) {
		b.dropped[it.unit]++
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
func (b *backlog) get() (items []item, dropped map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, b.items, b.bytes = b.items, nil, 0
	if len(b.dropped) > 0 {
		dropped, b.dropped = b.dropped, make(map[string]int)
	}
	return items, dropped
}
