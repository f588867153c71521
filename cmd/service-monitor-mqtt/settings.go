package main

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/service-monitor-mqtt/internal/broker"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/stages/row"
)

// Settings are the keys of this program.
type settings struct {
	broker.Settings
	scheme, gateway, prefix string
	rate                    int
	crashLines, compact     bool
	leaveOut                []string
}

// rows returns the rows of all keys. They put their values into s.
func (s *settings) rows() []row.Row {
	return append(s.Rows(),
		row.Row{Key: "mqtt_scheme", Help: "plain, thin-edge or homeassistant", Value: row.Choice{Target: &s.scheme, Of: []string{"plain", "thin-edge", "homeassistant"}}},
		row.Row{Key: "mqtt_gateway", Help: "name in topics; none: the host name",
			Value: row.Text{Target: &s.gateway, Example: "gateway-7", Check: topics.CheckGateway}},
		row.Row{Key: "mqtt_discovery_prefix", Help: "of Home Assistant's topics",
			Value: row.Text{Target: &s.prefix, Default: "homeassistant", Example: "homeassistant", Check: topics.CheckPrefix}},
		row.Row{Key: "mqtt_rate", Help: "events a second while many wait",
			Value: row.Int{Target: &s.rate, Default: 50, Least: 1, Most: 10_000}},
		row.Row{Key: "mqtt_crash_lines", Help: "publish last lines of crashes", Value: row.Bool{Target: &s.crashLines}},
		row.Row{Key: "mqtt_compact", Help: "short topics and keys", Value: row.Bool{Target: &s.compact}},
		row.Row{Key: "mqtt_leave_out", Help: "units that are not published",
			Value: row.Texts{Target: &s.leaveOut, Example: "debug-*.service", Check: checkGlob}},
	)
}

func checkGlob(glob string) error {
	if _, err := path.Match(glob, ""); err != nil || glob == "" {
		return fmt.Errorf("must be the name of a unit or a glob such as debug-*.service, found %s", row.Quote(glob))
	}
	return nil
}

// newSettings returns the defaults, and what reads them from the file of the monitor.
func newSettings() (*settings, *config.Companion) {
	s := &settings{}
	rows := s.rows()
	for _, r := range rows {
		r.Value.Reset()
	}
	return s, &config.Companion{Rows: rows, Check: s.Check}
}

// leftOut reports whether nothing is to be published of a unit.
func (s *settings) leftOut(unit string) bool {
	return slices.ContainsFunc(s.leaveOut, func(glob string) bool {
		is, _ := path.Match(glob, unit) // the globs are right
		return is
	})
}

// topics returns what a scheme needs to know.
func (s *settings) topics() (topics.Options, error) {
	host, _ := os.Hostname()
	o := topics.Options{Gateway: cmp.Or(s.gateway, host), Compact: s.compact, DiscoveryPrefix: s.prefix, Version: version}
	if err := topics.CheckGateway(o.Gateway); err != nil {
		return o, fmt.Errorf("the host name cannot be the name of this gateway: it %w; set mqtt_gateway", err)
	}
	return o, nil
}
