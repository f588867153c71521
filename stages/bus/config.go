package bus

import (
	"time"

	"service-monitor/stages/row"
)

// Settings are the settings of the bus stage in the configuration file.
type Settings struct {
	// MaxRetries is how often to try again to reach the system bus at start; 0 means
	// one attempt only.
	MaxRetries int
	// AuditInterval is the time between two checks that systemd still announces what
	// happens; 0 means none.
	AuditInterval time.Duration
}

// mostRetries take about a year, with lastRetry between them.
const mostRetries = 1_000_000

// Rows describe the keys of the configuration file. Each key sets one of the settings.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "max_retries", Help: "more attempts at the system bus at start",
			Value: row.Int{Target: &s.MaxRetries, Default: 3, Most: mostRetries}},
		{Key: "audit_interval", Help: "between audits of the bus, 0: none",
			Value: row.Duration{Target: &s.AuditInterval, Step: time.Second, Default: 5 * time.Minute, Most: row.Year}},
	}
}
