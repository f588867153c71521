package link

import (
	"encoding/binary"
	"sync"
	"time"
)

// backlogBytes bounds what waits between the socket and the source. A signal takes about
// 1.5 KB, so the backlog is full when the stages are a burst of a thousand changes behind.
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
	Lost                 // the connection is gone; this is the last item
)

// An Item is what the link took off the stream.
type Item struct {
	Kind Kind
	Unit string // of a Signal
	Body []byte // of a Signal, sa{sv}as, or a Reply
	// Buffer is where the body lies; nil if the body has memory of its own. Release it when the body was
	// read.
	Buffer *Buffer
	Order  binary.ByteOrder
	Time   time.Time // when it was read from the socket
	// Serial is the serial of the call to which this is the reply. Nobody is true if the name
	// that was called has no owner, or if the owner left before it replied.
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
	free    []Item // handed out by the last get but one, so nobody uses them any more
	bytes   int
	dropped map[string]int // signals per unit that did not fit
}

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), dropped: make(map[string]int)}
}

// put adds items, and reports whether more than half of the bound is used. A signal that does
// not fit is dropped, and its unit is remembered. Other items always fit: the source asked
// for them, or there is only one of them.
func (b *backlog) put(items []Item) (much bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range items {
		// After a unit has lost one signal, its later signals are of no use either.
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

// get returns everything that waits. The items belong to the caller until the next get.
// dropped says what was lost behind them.
func (b *backlog) get() (items []Item, dropped map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, b.items, b.bytes = b.items, b.free[:0], 0
	b.free = items
	if len(b.dropped) > 0 {
		dropped, b.dropped = b.dropped, make(map[string]int)
	}
	return items, dropped
}
