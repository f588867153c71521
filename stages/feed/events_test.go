package feed

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"service-monitor/stages/chronicle/store"
)

// hear adds a listener, and returns when it was told all that was known. The channel delivers the
// number of each record that the listener hears of. It is closed at the end of the stream.
func (b *bench) hear() <-chan uint64 {
	b.t.Helper()
	b.ready.Await("READY=1")
	heard, complete := make(chan uint64), make(chan struct{})
	go func() {
		defer close(heard)
		err := Listen(b.t.Context(), b.socket, func(m Message) bool {
			if m.Complete {
				close(complete)
			}
			var e struct {
				Seq  uint64
				Kind string
			}
			if m.Event != nil && json.Unmarshal(m.Event, &e) == nil && e.Kind == "start" {
				select {
				case heard <- e.Seq:
				case <-b.t.Context().Done():
				}
			}
			return true
		})
		if err != nil {
			b.t.Error(err)
		}
	}()
	<-complete
	return heard
}

// All listeners are told each record once and in order, also the last one. A listener that comes
// later is not told what was before: that is in the chronicle.
func TestEvents(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"), tally("a.service", 1))
	first := b.hear()
	b.stored <- store.Record{Seq: 7}
	if seq := <-first; seq != 7 {
		t.Errorf("record %d", seq)
	}
	second := b.hear()
	for seq := uint64(8); seq < 200; seq++ {
		b.stored <- store.Record{Seq: seq}
	}
	for want := uint64(8); want < 200; want++ {
		if one, other := <-first, <-second; one != want || other != want {
			t.Fatalf("records %d and %d, want %d", one, other, want)
		}
	}
	b.stored <- store.Record{Seq: 200}
	b.stop()
	for _, heard := range []<-chan uint64{first, second} {
		if seq, more := <-heard; seq != 200 {
			t.Errorf("record %d, %v", seq, more)
		}
		if seq, more := <-heard; more {
			t.Errorf("record %d", seq)
		}
	}
}

// A listener that does not read events is disconnected. Another one hears each of them.
func TestSlowAmongOthers(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	stuck, heard := b.dial(), b.hear()
	const together = 1000 // too many to wait for the pause
	for seq := uint64(1); !left(t, stuck); {
		for n := range uint64(together) {
			b.stored <- store.Record{Seq: seq + n}
		}
		for range together {
			if got, more := <-heard; got != seq {
				t.Fatalf("record %d, %v, want %d", got, more, seq)
			}
			seq++
		}
	}
}

// If the feed itself was too slow, it ends all streams. Then listeners can come again.
func TestCutOff(t *testing.T) {
	b := startWith(t, filepath.Join(t.TempDir(), "feed"), 0)
	heard := b.hear()
	b.stored <- store.Record{Seq: 1}
	if seq, more := <-heard; more {
		t.Errorf("record %d", seq)
	}
	b.hear()
}
