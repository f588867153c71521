package chronicle

import (
	"fmt"
	"path/filepath"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/row"
)

// Settings are the configuration of the chronicle.
type Settings struct {
	// Size is how many bytes the chronicle may have on disk; 0 means that there is none.
	Size int
}

// Rows returns the rows of the keys. They put their values into s.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "history_size", Help: "bytes of history; 0 keeps none", Value: row.Int{Target: &s.Size, Default: 4 << 20, Most: 1_000_000_000}},
	}
}

// Check returns an error if the size is too small.
func (s *Settings) Check() error {
	if s.Size > 0 && s.Size < store.Smallest {
		return fmt.Errorf("history_size (%d bytes) is too small; make it %d or more, or 0 for no history", s.Size, store.Smallest)
	}
	return nil
}

// Beside returns the directory of the chronicle that belongs to a state file.
func Beside(stateFile string) string { return filepath.Join(filepath.Dir(stateFile), "chronicle") }
