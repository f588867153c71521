package view

import (
	"context"
	"errors"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/pipeline"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/statefile"
)

// together is how many records are read before the stage takes them. A record takes 400 bytes.
const together = 256

// A batch is what was read of the chronicle. The stage must be done with it before it receives the next
// one but one.
type batch struct {
	records []store.Record
	end     bool
	err     error // of the end
}

// read reads the records of the chronicle after a number, beside the loop of the stage. The last batch is
// the end.
func read(ctx context.Context, dir string, after uint64) <-chan batch {
	c := make(chan batch)
	go func() {
		records, other := make([]store.Record, 0, together), make([]store.Record, 0, together)
		send := func(b batch) bool {
			select {
			case c <- b:
				return true
			case <-ctx.Done():
				return false
			}
		}
		_, err := store.ReadAfter(dir, after, func(r *store.Record) bool {
			if records = append(records, *r); len(records) < together {
				return true
			}
			sent := send(batch{records: records})
			records, other = other[:0], records
			return sent
		})
		send(batch{records, true, err})
	}()
	return c
}

// saved is what the monitor has saved of itself.
type saved struct {
	units  map[string]*count.Tally
	status tell.Status // as of when, when it stopped, and what is wrong
	err    error
}

// readSaved reads the state file beside the loop of the stage. itself is the last record of the monitor
// itself, unread is why the history could not be read, and away is why nobody answers.
func readSaved(c config.Config, itself store.Record, unread, away error) <-chan saved {
	return pipeline.Aside(func() (s saved) {
		s.units, _, s.err = statefile.Read(c.State.File)
		s.status.AsOf = time.Now()
		ask.AsSaved(&s.status, c.State.File, &itself, unread)
		var other errOther
		if errors.As(away, &other) { // the monitor of these files may have ended
			away = nil
		}
		ask.Silent(&s.status, c, away)
		return s
	})
}

// history returns the directory of the chronicle.
func history(c config.Config) string { return chronicle.Beside(c.State.File) }
