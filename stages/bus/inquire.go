package bus

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/bus/wire"
)

// Methods of PID 1. Two of them list the units that match a glob.
const (
	getAll        = "GetAll"
	pingCall      = "Ping"
	listUnits     = "ListUnitsByPatterns"
	listUnitFiles = "ListUnitFilesByPatterns"
)

// window is how many snapshots are asked for at once: PID 1 answers them
// between other work, and the socket never fills.
const window = 32

// A request is what a reply is awaited for.
type request struct {
	member   string
	unit     string
	name     string // systemd's own for the unit, where GetAll asks for that
	property string // of Get, where it is one of PID 1 itself
	again    bool   // a second look, or another list
}

// subscribe renews the match rules, and asks PID 1 for everything.
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

// inquire asks PID 1 to send signals, for the units that match a glob, and for
// the snapshot of each unit that has none. Whatever happens after a snapshot
// is announced, because PID 1 answers in order.
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

// await queues the unit for a snapshot, before which it says nothing.
func (s *Stage) await(unit string) {
	u := s.note(unit)
	u.asked, u.present = true, false
	s.queue = append(s.queue, unit)
}

func (s *Stage) askBus(member, arg string) error {
	return s.ask(request{member: member}, link.BusName, link.BusPath, link.BusName, arg)
}

// ask sends a request and remembers what its reply is to.
func (s *Stage) ask(r request, destination, path, iface string, args ...any) error {
	serial, err := s.link.Call(destination, path, iface, r.member, args...)
	if err != nil {
		return fmt.Errorf("cannot call %s: %w", r.member, err)
	}
	s.requests[serial] = r
	return nil
}

// askSnapshots asks for queued snapshots, a window at a time: PID 1 answers
// them between other work, and the socket never fills.
func (s *Stage) askSnapshots() error {
	for s.state.Asks() && s.asked < window && len(s.queue) > 0 {
		unit := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.askSnapshot(unit, unit); err != nil {
			return err
		}
	}
	return nil
}

// askSnapshot asks for the snapshot of a unit by one of its names. No interface means all
// of them: one reply, from one moment, with the Unit half and the Service half (this is
// what systemctl show asks).
func (s *Stage) askSnapshot(unit, name string) error {
	s.asked++
	return s.ask(request{member: getAll, unit: unit, name: name}, link.Systemd, watch.Escape(name), link.Properties, "")
}

func (s *Stage) replied(ctx context.Context, p *port, it link.Item) error {
	r, ok := s.requests[it.Serial]
	if !ok {
		return nil
	}
	delete(s.requests, it.Serial)
	if it.Nobody {
		// PID 1 is not on the bus (yet, or while it re-executes itself). Its return
		// is announced, and then everything is asked for again.
		return nil
	}
	switch r.member {
	case getAll:
		return s.snapshot(ctx, p, r, it)
	case getProperty:
		if r.property != "" {
			s.silence.learn(r.property, it)
			return nil
		}
		return s.failed(p, s.looked(r, it))
	case listUnits, listUnitFiles:
		*s.waiting(r.again)--
	}
	if it.Err != nil {
		return s.failed(p, fmt.Errorf("cannot call %s: %w", r.member, it.Err))
	}
	switch r.member {
	case "Subscribe":
		s.subscribed = true
	case listUnits:
		s.listed(it, "sssssouso", s.crowd.listing)
	case listUnitFiles:
		s.listed(it, "s", s.crowd.files)
	}
	if (r.member == listUnits || r.member == listUnitFiles) && s.lists+s.crowd.lists == 0 {
		return s.sweep(ctx, p)
	}
	return nil
}

// wanted are the properties that a Snapshot has.
var wanted = set("Id", "LoadState", "ActiveState", "SubState", "InvocationID", stateChange, "Job", "InactiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic",
	"ActiveExitTimestampMonotonic", "LogLevelMax", "Result", "CanClean", "CleanResult", "NRestarts", "ExecMainCode", "ExecMainStatus", "ExecMainExitTimestampMonotonic")

func isWanted(property []byte) bool { return wanted[string(property)] }

func set(keys ...string) map[string]bool {
	set := make(map[string]bool)
	for _, key := range keys {
		set[key] = true
	}
	return set
}

func (s *Stage) snapshot(ctx context.Context, p *port, r request, it link.Item) error {
	s.asked--
	unit := r.unit
	if _, ok := s.watch.Load().Known(unit); !ok {
		return nil // removed by a reload meanwhile
	}
	out := Signal{Kind: Snapshot, Unit: unit, Body: it.Body, Order: it.Order, Time: it.Time, Account: Account{Clock: history.Clock()}}
	if it.Err == nil {
		if done, err := s.named(r, glimpse(out)); !done {
			return s.failed(p, err)
		}
	}
	u := s.note(unit)
	if u.fresh && s.state.Watches() && glimpse(out).invocation != (history.Invocation{}) {
		u.unasked() // it runs already, and PID 1 is about to announce how that began
		return nil
	}
	u.asked, u.present = true, true
	if it.Err != nil {
		s.log.WithFields(logrus.Fields{"unit": unit, "error": it.Err}).Warn("systemd does not show the unit")
		out.Kind, out.Body = Missing, nil
	}
	if s.state.Watches() {
		if u.known && out.Kind == Snapshot {
			out.Kind = Checked // every change of it was handed on
		}
		u.known, u.fresh = true, false
	}
	return s.emit(ctx, p, out)
}

// hasJob reports whether a unit is to be started or stopped, or what was known if
// a change does not tell.
func hasJob(it link.Item, known bool) bool {
	r := wire.NewReader(it.Body, it.Order)
	r.String() // the interface
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		key, sig := r.String(), r.Variant()
		if string(key) == "Job" && string(sig) == "(uo)" {
			r.Align(8)
			return r.Uint32() != 0
		}
		r.Skip(sig)
	}
	return known
}

// listed adds to a list the units of a reply, an array of structs that begin with a name
// or the path of a unit file, and hold rest after it.
func (s *Stage) listed(it link.Item, rest string, in map[string]bool) {
	w := s.watch.Load()
	var units []string
	r := wire.NewReader(it.Body, it.Order)
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		name := path.Base(string(r.String()))
		for i := range len(rest) {
			r.Skip([]byte{rest[i]})
		}
		template := strings.Contains(name, "@.")
		if r.Err() != nil || template || !watch.Match(w.Globs, name) {
			continue
		}
		if in[name] = true; !s.of(name).asked {
			units = append(units, name)
			s.await(name)
			s.note(name).fresh = s.watched(name)
		}
	}
	s.watch.Store(w.With(units...))
}

// named compares the name by which a snapshot was asked for with the one that it shows, and
// reports whether the snapshot is that of the unit. If not, another one is asked for.
//
// A unit that is monitored by an alias is followed by its own name, also when the alias is
// gone: what it names goes on. The alias may become the name of another unit, or of a
// unit of its own.
func (s *Stage) named(r request, shown glance) (done bool, err error) {
	w := s.watch.Load()
	own := w.Alias(r.unit)
	switch {
	case shown.name == "" || r.name != r.unit: // by its own name, of which there is no other
		return true, nil
	case !shown.loaded && own != "" && shown.name == r.unit:
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

// alias makes the changes of a unit's own name those of the alias by which it
// is monitored, and reports whether they were already. An alias that only a
// glob has found is none of ours: the unit matches by its own name, or does not.
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
	s.note(unit).unasked() // its snapshot counts when its changes are matched
	return false, s.subscribe()
}
