package metrics

import (
	"strings"

	dto "github.com/prometheus/client_model/go"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/decode"
)

// The metrics with the names of systemd_exporter.
var (
	systemdState         = systemd("unit_state", "Systemd unit", dto.MetricType_GAUGE, "name", "type", "state")
	systemdStart         = systemd("unit_start_time_seconds", "Start time of the unit since unix epoch in seconds. It is 0 while the unit is not active.", dto.MetricType_GAUGE, "name", "type")
	systemdActiveEnter   = systemd("unit_active_enter_time_seconds", "Last time the unit transitioned into the active state. It is absent while the unit is in another state.", dto.MetricType_GAUGE, "name", "type")
	systemdInactiveEnter = systemd("unit_inactive_enter_time_seconds", "Last time the unit transitioned into the inactive state. It is absent while the unit is in another state.", dto.MetricType_GAUGE, "name", "type")
	systemdRestarts      = systemd("service_restart_total", "Service unit count of Restart triggers. Other than systemd's own, it never goes back to 0.", dto.MetricType_COUNTER, "name")
)

func systemd(name, help string, kind dto.MetricType, labels ...string) *metric {
	return newMetric("systemd_"+name, help, kind, labels)
}

// systemdStates are those that systemd_exporter tells.
var systemdStates = []string{"active", "activating", "deactivating", "inactive", "failed"}

// systemd tells of a unit what systemd_exporter would tell. It does so for units that systemd has loaded.
func (c *collector) systemd(out sink, name string, u *tell.Unit) {
	if u.State == decode.NotLoaded || !u.Life.Known() {
		return
	}
	if !c.Behind {
		out.put(systemdRestarts, float64(u.Restarts), name)
	}
	if !c.watching() {
		return
	}
	kind := name[strings.LastIndexByte(name, '.')+1:]
	for _, state := range systemdStates {
		out.is(systemdState, state == u.State, name, kind, state)
	}
	switch u.State {
	case "active":
		out.at(systemdStart, changed(u), name, kind)
		out.at(systemdActiveEnter, changed(u), name, kind)
	case "inactive", "failed":
		out.at(systemdInactiveEnter, changed(u), name, kind)
		fallthrough
	default:
		out.put(systemdStart, 0, name, kind)
	}
}
