package view

import (
	"encoding/json"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// While the history is read once more, only a part of it is known. What changes meanwhile is told afterwards,
// with all of it, and to a client that comes back, too.
func TestChangeWhileHistoryIsReadAgain(t *testing.T) {
	c := config.Default()
	c.State.File = filepath.Join(t.TempDir(), "state")
	d, _, err := store.Open(chronicle.Beside(c.State.File), 1<<20, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const crashes = 2*together + 1
	records := make([]store.Record, crashes)
	for i := range records {
		records[i] = store.Record{Kind: store.Crash, Unit: "a.service", Time: time.Now(), Delta: store.Counts{Crashes: 1}, After: store.Counts{Crashes: int64(i) + 1}}
	}
	if _, err := d.Append(records); err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := New(log, c)
	tally := func(state string) *count.Tally {
		return &count.Tally{Unit: "a.service", State: state, Crashes: crashes, Life: &classify.Life{ActiveState: state}}
	}
	finish := func() {
		for s.reading != nil {
			b := <-s.reading
			s.took(t.Context(), &b)
		}
	}
	s.now()
	s.heard, s.model.connected = true, true
	s.put(tally("failed"))
	s.read(t.Context())
	finish()
	if !s.loaded {
		t.Fatal("it is not loaded")
	}
	s.out, s.anew = nil, true
	s.read(t.Context())
	b := <-s.reading
	s.took(t.Context(), &b)
	s.put(tally("activating"))
	if len(s.out) != 0 {
		t.Errorf("told when only a part was known: %s", s.out[0].Data)
	}
	finish()
	var told struct {
		Day int `json:"crashes_24h"`
	}
	if len(s.out) == 0 || s.out[0].Kind != Changed || json.Unmarshal(s.out[0].Data, &told) != nil || told.Day != crashes {
		t.Errorf("%+v, %+v; want %d crashes", s.out, told, crashes)
	}
	if since := s.model.units["a.service"].since; since < s.told {
		t.Errorf("a client that has heard of record %d does not hear of this: %d", s.told, since)
	}
}
