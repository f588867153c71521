package blackbox

import "service-monitor/stages/row"

// Settings are the configuration of the black box.
type Settings struct {
	// Lines is how many of the last lines of a run that crashed are kept. If it is 0, there are no
	// boxes.
	Lines int
}

// Rows returns the rows of the keys. They put their values into s.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "crash_lines", Help: "last lines kept of a crash; 0 keeps none", Value: row.Int{Target: &s.Lines, Default: 20, Most: 100}},
	}
}
