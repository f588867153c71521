package files

import "sync/atomic"

// A Meter counts the bytes that are handed to write(2). Any goroutine may use it. A nil Meter counts
// nothing.
type Meter struct{ bytes atomic.Uint64 }

// Add adds bytes that were written.
func (m *Meter) Add(n int) {
	if m != nil && n > 0 {
		m.bytes.Add(uint64(n))
	}
}

// Bytes returns how many bytes were written.
func (m *Meter) Bytes() uint64 { return m.bytes.Load() }
