package metrics

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
)

// These are the names and the labels of systemd_exporter 0.7.
func TestSystemdExporter(t *testing.T) {
	state := func(is string) map[string]float64 {
		all := map[string]float64{}
		for key, value := range one("systemd_unit_state", "sink.service", "state", is, "active", "activating", "deactivating", "inactive", "failed") {
			all[strings.Replace(key, "}", `,type="service"}`, 1)] = value
		}
		return all
	}
	const labels = `{name="sink.service",type="service"}`
	restarts := map[string]float64{`systemd_service_restart_total{name="sink.service"}`: 4}
	failed := looping()
	failed.State, failed.Life = "failed", &classify.Life{ActiveState: "failed", Ended: true}
	reloading := looping()
	reloading.State, reloading.Life = "reloading", &classify.Life{ActiveState: "reloading", Invocation: decode.Invocation{1}}
	down := status(looping())
	down.Monitor = feed.Monitor{}
	for _, tt := range []struct {
		name string
		s    *tell.Status
		want map[string]float64
	}{
		{"active", status(looping()), join(restarts, state("active"), map[string]float64{"systemd_unit_start_time_seconds" + labels: 1_750_000_000 - 60, "systemd_unit_active_enter_time_seconds" + labels: 1_750_000_000 - 60})},
		{"failed", status(failed), join(restarts, state("failed"), map[string]float64{"systemd_unit_start_time_seconds" + labels: 0, "systemd_unit_inactive_enter_time_seconds" + labels: 1_750_000_000 - 60})},
		{"reloading", status(reloading), join(restarts, one("", "", "", ""), map[string]float64{"systemd_unit_start_time_seconds" + labels: 0})},
		{"not loaded", status(missing()), map[string]float64{}},
		{"not seen", status(unseen()), map[string]float64{}},
		{"the monitor is down", down, restarts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "reloading" { // it is none of the states that systemd_exporter has
				delete(tt.want, `{="",name=""}`)
				for key := range state("active") {
					tt.want[key] = 0
				}
			}
			if diff := cmp.Diff(tt.want, among(told(t, tt.s, Options{SystemdExporter: true}), "systemd_")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := among(told(t, status(looping()), Options{}), "systemd_"); len(got) > 0 {
		t.Errorf("nobody asked for %v", got)
	}
}
