package main

import (
	"time"

	"service-monitor/stages/journald/records"
)

// monotonic is the clock of systemd's timestamps: since boot, not set by anybody.
func monotonic() time.Duration { return time.Duration(records.Clock()) * time.Microsecond }
