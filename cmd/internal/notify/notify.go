// Package notify tells systemd how a program is, by sd_notify(3).
package notify

import (
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
)

// notifier notifies systemd (sd_notify(3)).
type notifier struct {
	log      logrus.FieldLogger
	watchdog time.Duration
}

// New returns a notifier of systemd, or nil if NOTIFY_SOCKET is not set.
func New(log logrus.FieldLogger) pipeline.Notifier {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithField("error", err).Warn("cannot understand WATCHDOG_USEC; running without a watchdog")
	}
	return &notifier{log: log, watchdog: watchdog}
}

// Notify sends a state, such as READY=1. If that fails, it is logged, because nobody could do more.
func (n *notifier) Notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.WithField("error", err).Warn("cannot notify systemd")
	}
}

// Stalled says which stage does not answer.
func (n *notifier) Stalled(stage string, waited time.Duration) {
	n.log.WithFields(logrus.Fields{"stage": stage, "waited": waited.Round(time.Millisecond)}).
		Error("stage does not answer; leaving it to the watchdog")
}

// Watchdog returns how often systemd expects a sign of life; 0 for never.
func (n *notifier) Watchdog() time.Duration { return n.watchdog }

// Reload returns the state of a reload that begins now.
func (n *notifier) Reload() string {
	return daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
}
