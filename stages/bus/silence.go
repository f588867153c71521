package bus

import (
	"fmt"
	"slices"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/wire"
)

// A silence is what PID 1 keeps out of the journal: its log level and log target
// (systemd-system.conf(5)). Both can be changed at any time, and no change is announced.
type silence struct{ level, target string }

const (
	logLevel  = "LogLevel"
	logTarget = "LogTarget"
)

// learn takes in the reply to a question of askSilence.
func (s *silence) learn(property string, it link.Item) {
	r := wire.NewReader(it.Body, it.Order)
	if it.Err != nil || string(r.Variant()) != "s" {
		return // a systemd that does not tell is taken to write all
	}
	value := string(r.String())
	if r.Err() != nil {
		return
	}
	if property == logLevel {
		s.level = value
	} else {
		s.target = value
	}
}

// telling are the levels and targets with which PID 1 writes of starts and stops into the
// journal. By syslog or kmsg its records come there, too, but without their fields.
var (
	tellingLevels  = []string{"", "info", "debug"}
	tellingTargets = []string{"", "journal", "journal-or-kmsg", "auto"}
)

// why says why PID 1 writes less into the journal than happens; empty if it writes all.
func (s *silence) why() string {
	switch {
	case !slices.Contains(tellingLevels, s.level):
		return fmt.Sprintf("systemd writes nothing below the level %s: systemctl log-level info", s.level)
	case !slices.Contains(tellingTargets, s.target):
		return fmt.Sprintf("systemd does not write into the journal, but to %s: systemctl log-target journal-or-kmsg", s.target)
	}
	return ""
}
