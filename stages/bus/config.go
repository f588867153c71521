package bus

import (
	"time"

	"service-monitor/stages/row"
)

// Settings are what can be chosen about the bus.
type Settings struct {
	// MaxRetries is how often to try again to reach the system bus at start; 0 means
	// one attempt only.
	MaxRetries int
	// AuditInterval is the time between two checks that systemd still announces what
	// happens; 0 means none.
	AuditInterval time.Duration
}

// mostRetries go on for a year.
const mostRetries = 1_000_000

// Rows are the keys of the settings, which they put here.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "max_retries", Help: "more attempts at the system bus at start",
			Value: row.Int{Target: &s.MaxRetries, Usual: 3, Most: mostRetries}},
		{Key: "audit_interval", Help: "between audits of the bus, 0: none",
			Value: row.Duration{Target: &s.AuditInterval, Step: time.Second, Usual: 5 * time.Minute, Most: row.Year}},
	}
}
