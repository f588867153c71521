package blackbox

import "service-monitor/stages/row"

// Settings are the configuration of the black box.
type Settings struct {
	// Lines is how many lines of a run that crashed are kept; 0 means that nothing is.
	Lines int
}

// Rows returns the rows of the keys. They put their values into s.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "crash_lines", Help: "last lines kept of a crash; 0 keeps none", Value: row.Int{Target: &s.Lines, Default: 20, Most: 100}},
	}
}
