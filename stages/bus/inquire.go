package bus

import (
	"slices"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/journald/records"
)

// maxAsked is how many snapshots may be on their way. PID 1 does other work between the answers,
// and so many answers fit into the socket.
const maxAsked = 32

// subscribe changes the match rules to those of the present units, and asks PID 1 for everything.
func (s *Stage) subscribe() error {
	rules := s.watch.Load().Rules()
	for _, rule := range without(rules, s.rules) {
		if err := s.askBus("AddMatch", rule); err != nil {
			return err
		}
	}
	for _, rule := range without(s.rules, rules) {
		if err := s.askBus("RemoveMatch", rule); err != nil {
			return err
		}
	}
	s.rules = rules
	return s.inquire()
}

// without returns the entries of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(rule string) bool { return slices.Contains(b, rule) })
}

// inquire asks PID 1 to send signals. Then it asks for lists of the units that match a glob, and
// for the snapshot of each unit that has none yet. PID 1 answers in order, so it announces whatever
// happens after a snapshot.
func (s *Stage) inquire() error {
	s.subscribed = false
	if err := s.ask(request{member: "Subscribe"}, link.Systemd, link.ManagerPath, link.ManagerInterface); err != nil {
		return err
	}
	if err := s.askSilence(); err != nil {
		return err
	}
	if err := s.askLists(false); err != nil {
		return err
	}
	for _, unit := range s.names() {
		if !s.of(unit).asked {
			s.await(unit)
		}
	}
	return s.askSnapshots()
}

// askSnapshots asks for queued snapshots, but only for a few at a time.
func (s *Stage) askSnapshots() error {
	for s.state.Asks() && s.asked < maxAsked && len(s.queue) > 0 {
		unit := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.askSnapshot(unit, unit); err != nil {
			return err
		}
	}
	return nil
}

// askSnapshot asks for the snapshot of a unit by one of its names. It names no interface, which
// means all interfaces: one reply has the Unit half and the Service half of one moment. The
// command systemctl show asks the same way.
func (s *Stage) askSnapshot(unit, name string) error {
	s.asked++
	return s.ask(request{member: getAll, unit: unit, name: name}, link.Systemd, watch.Escape(name), link.Properties, "")
}

// named compares the name that we asked for with the name in the snapshot. It reports whether
// the snapshot belongs to the unit. If it does not, named asks for another one.
//
// An alias may disappear while its unit stays, or be masked together with it: then systemd shows a
// unit of the alias's name that never ran. So we go on to monitor the unit by its own name. Later the
// alias may become the name of another unit, or a unit itself.
func (s *Stage) named(r request, shown glance) (done bool, err error) {
	w := s.watch.Load()
	own := w.Alias(r.unit)
	switch {
	case shown.name == "" || r.name != r.unit: // we asked by its own name, so it is the unit
		return true, nil
	case own != "" && shown.name == r.unit && !shown.loaded && shown.invocation == (records.Invocation{}):
		return false, s.askSnapshot(r.unit, own)
	case shown.name == r.unit:
		if own != "" {
			s.log.WithFields(logrus.Fields{"unit": r.unit, "was": own}).Info("no longer another name of a unit, but a unit of its own")
			s.watch.Store(w.Without(r.unit).With(r.unit))
		}
		return true, nil
	}
	return s.alias(r.unit, shown.name)
}

// alias notes that a monitored name is an alias of another name, so that changes under that name
// are counted for it. known is true if nothing had to be noted. If another monitored name stands
// for the same unit, or if only a glob matches the alias, the alias is no longer monitored: the
// unit matches by its own name, or not at all.
func (s *Stage) alias(unit, name string) (known bool, err error) {
	w := s.watch.Load()
	by, taken := w.Known(name)
	switch {
	case taken && by == unit:
		return true, nil
	case taken || !slices.Contains(w.List, unit):
		if slices.Contains(w.List, unit) {
			s.log.WithFields(logrus.Fields{"unit": unit, "counted_as": by}).Warn("another name of a unit that is monitored already")
		}
		s.watch.Store(w.Without(unit))
		s.note(unit).unasked()
		return false, nil
	}
	s.watch.Store(w.Aliased(unit, name))
	s.note(unit).unasked() // ask again, once the match rules cover the other name
	return false, s.subscribe()
}

// askSilence asks PID 1 for its log level and its log target, which a silence consists of.
func (s *Stage) askSilence() error {
	for _, property := range []string{logLevel, logTarget} {
		r := request{member: getProperty, property: property}
		if err := s.ask(r, link.Systemd, link.ManagerPath, link.Properties, link.ManagerInterface, property); err != nil {
			return err
		}
	}
	return nil
}

// ping asks PID 1 for an empty reply. Before that, PID 1 has sent the changes of everything
// that it wrote into the journal.
func (s *Stage) ping() error {
	return s.ask(request{member: pingCall}, link.Systemd, link.ManagerPath, "org.freedesktop.DBus.Peer")
}
