package persist

import (
	"fmt"
	"time"

	"service-monitor/stages/row"
)

// DefaultFile is the state file unless the user names another one.
const DefaultFile = "/var/lib/service_monitor/service_states.json"

// Settings are what the user can choose about saving.
type Settings struct {
	// File is an absolute path.
	File string
	// Quiet is how long the counters must be unchanged before they are saved; above 0.
	Quiet time.Duration
	// Deadline is how long after the first unsaved change they are saved anyway;
	// never below Quiet.
	Deadline time.Duration
}

// Rows describe the keys of the configuration file. Each key sets one of the settings.
func (s *Settings) Rows() []row.Row {
	ms := func(target *time.Duration, standard time.Duration) row.Duration {
		return row.Duration{Target: target, Step: time.Millisecond, Default: standard, Least: time.Millisecond, Most: row.Year}
	}
	return []row.Row{
		{Key: "persistence_file", Flag: "persistence-file", Value: row.File{Target: &s.File, Default: DefaultFile}},
		{Key: "save_quiet", Help: "without change before the state is saved", Value: ms(&s.Quiet, time.Second)},
		{Key: "save_deadline", Help: "from first change to latest save", Value: ms(&s.Deadline, 10*time.Second)},
	}
}

// Check returns an error if the values do not fit together.
func (s *Settings) Check() error {
	if s.Deadline < s.Quiet {
		return fmt.Errorf("save_deadline (%d ms) is less than save_quiet (%d ms); raise the one or lower the other",
			s.Deadline.Milliseconds(), s.Quiet.Milliseconds())
	}
	return nil
}
