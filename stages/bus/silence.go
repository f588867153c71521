package bus

import (
	"fmt"
	"slices"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/wire"
)

// A silence is what PID 1 keeps out of the journal by its log level and its log target
// (systemd-system.conf(5)). Both can change at any time, and PID 1 does not announce it.
type silence struct{ level, target string }

const (
	logLevel  = "LogLevel"
	logTarget = "LogTarget"
)

// learn keeps the reply to a question of askSilence.
func (s *silence) learn(property string, it link.Item) {
	r := wire.NewReader(it.Body, it.Order)
	if it.Err != nil || string(r.Variant()) != "s" {
		return // a systemd that does not answer is taken to write everything
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

// With these levels and targets PID 1 writes starts and stops into the journal. With syslog
// or kmsg its records come there, too, but without their fields.
var (
	loudLevels  = []string{"", "info", "debug"}
	loudTargets = []string{"", "journal", "journal-or-kmsg", "auto"}
)

// why is the reason why PID 1 does not write everything into the journal. It is empty if it does.
func (s *silence) why() string {
	switch {
	case !slices.Contains(loudLevels, s.level):
		return fmt.Sprintf("systemd writes nothing below the level %s: systemctl log-level info", s.level)
	case !slices.Contains(loudTargets, s.target):
		return fmt.Sprintf("systemd does not write into the journal, but to %s: systemctl log-target journal-or-kmsg", s.target)
	}
	return ""
}
