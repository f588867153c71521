// Package recording saves the signals of a case that ran on a real systemd. Tests
// can then replay the case without a systemd.
package recording

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"service-monitor/stages/bus"
	"service-monitor/test/gateway"
)

// A Recording holds the signals that a real systemd sent during a case, and the
// counts of each unit by its journal.
type Recording struct {
	Signals []bus.Signal
	Truth   map[string]gateway.Tally
}

// line is one signal in a file. The file is gzipped JSON. Its first line is the
// truth, and each further line is a signal.
type line struct {
	Kind string    `json:"kind"`
	Unit string    `json:"unit"`
	Time time.Time `json:"time"`
	Body []byte    `json:"body"` // little-endian
}

// names of the kinds that are recorded.
var names = map[bus.Kind]string{bus.Changed: "changed", bus.Snapshot: "snapshot"}

// Save writes a recording to a file.
func Save(path string, r Recording) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := gzip.NewWriter(file)
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(r.Truth); err != nil {
		return err
	}
	for _, s := range r.Signals {
		if s.Order != binary.LittleEndian || names[s.Kind] == "" {
			return fmt.Errorf("cannot record a signal of kind %d in %v", s.Kind, s.Order)
		}
		if err := encoder.Encode(line{names[s.Kind], s.Unit, s.Time.UTC(), s.Body}); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), file.Close())
}

// Load reads the recording of a file.
func Load(path string) (r Recording, err error) {
	file, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer file.Close()
	in, err := gzip.NewReader(file)
	if err != nil {
		return r, fmt.Errorf("cannot read %s: %w", path, err)
	}
	decoder := json.NewDecoder(in)
	err = decoder.Decode(&r.Truth)
	for err == nil {
		var l line
		if err = decoder.Decode(&l); err == nil {
			r.Signals = append(r.Signals, l.signal())
		}
	}
	if !errors.Is(err, io.EOF) {
		return r, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return r, nil
}

func (l line) signal() bus.Signal {
	s := bus.Signal{Unit: l.Unit, Time: l.Time, Body: l.Body, Order: binary.LittleEndian}
	if l.Kind == names[bus.Snapshot] {
		s.Kind = bus.Snapshot
	}
	return s
}
