package logsink

import (
	"time"

	"service-monitor/stages/row"
)

// DefaultFile is the log file unless the user names another one.
const DefaultFile = "/var/log/service-monitor/service-monitor.log"

// Settings are what the user can choose about the log.
type Settings struct {
	// File is an absolute path.
	File string
	// StatsInterval is the time between summary lines; 0 means none.
	StatsInterval time.Duration
	// FoldAfter is how many lines of one kind are logged in a minute. Any more are folded
	// into one line. 0 means that each line is logged.
	FoldAfter int
}

// maxFoldAfter is a thousand lines a second, which is as good as no folding.
const maxFoldAfter = 60_000

// Rows describe the keys of the configuration file. Each key sets one of the settings.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "log_file", Flag: "log-file", Value: row.File{Target: &s.File, Default: DefaultFile}},
		{Key: "stats_interval", Help: "between summary lines, 0 for none",
			Value: row.Duration{Target: &s.StatsInterval, Step: time.Second, Default: time.Minute, Most: row.Year}},
		{Key: "fold_after", Help: "like lines a minute before folding, 0: none",
			Value: row.Int{Target: &s.FoldAfter, Default: 10, Most: maxFoldAfter}},
	}
}
