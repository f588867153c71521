package main

import (
	"time"

	"service-monitor/stages/bus/history"
)

// monotonic is the clock of systemd's timestamps: since boot, not set by anybody.
func monotonic() time.Duration { return time.Duration(history.Clock()) * time.Microsecond }
