package link

import (
	"sync"
	"sync/atomic"
)

// A Buffer is what the socket is read into. Bodies lie in it, so they need not be copied. It is used again
// once the inlet and all who have a body of it have released it. If one of them never does, the garbage
// collector takes it.
type Buffer struct {
	bytes []byte
	users atomic.Int32
	pool  *sync.Pool
}

// newBuffer returns a buffer of at least n bytes with one user.
func newBuffer(pool *sync.Pool, n int) *Buffer {
	b, _ := pool.Get().(*Buffer)
	if b == nil || len(b.bytes) < n {
		b = &Buffer{bytes: make([]byte, max(readBuffer, n)), pool: pool}
	}
	b.users.Store(1)
	return b
}

// Release says that a user reads no more of it. A user says so at most once. b may be nil.
func (b *Buffer) Release() {
	if b == nil || b.users.Add(-1) > 0 || len(b.bytes) > readBuffer {
		return
	}
	spoil(b.bytes)
	b.pool.Put(b)
}
