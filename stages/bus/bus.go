// Package bus is the source: it watches the changes of the monitored units on
// the system bus (org.freedesktop.systemd1(5)) and hands them on in the order
// in which PID 1 sent them, each unit's snapshot first.
package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus/wire"
)

// Kind says what a Signal is.
type Kind uint8

// The kinds of Signal.
const (
	Changed   Kind = iota // PropertiesChanged: the body is sa{sv}as
	Snapshot              // all properties of the unit: the body is a{sv}
	Missing               // systemd refuses to show the unit; no body
	Lost                  // signals of the unit were lost; a Snapshot follows; no body
	Forgotten             // the unit is no longer monitored; no body
)

// A Signal is what PID 1 said of one unit.
type Signal struct {
	Kind  Kind
	Unit  string
	Body  []byte
	Order binary.ByteOrder
	// Time is when it was read from the socket.
	Time time.Time
}

// A List is which services are to be monitored: names and globs.
type List struct {
	Services []string
	// Known are units that were monitored before, by an earlier process.
	Known []string
}

// ErrNoBus ends the source when the bus could not be reached at start.
var ErrNoBus = errors.New("no system bus")

const (
	firstRetry     = 500 * time.Millisecond // doubled for each further one
	lastRetry      = 30 * time.Second
	window         = 32          // snapshots asked for at once
	refusedEvery   = time.Minute // at most one report
	timeFormat     = "15:04:05"
	listUnits      = "ListUnitsByPatterns"
	listUnitFiles  = "ListUnitFilesByPatterns"
	connectingText = "connecting to the system bus"
)

// Stage is the source of the pipeline.
type Stage struct {
	log        logrus.FieldLogger
	maxRetries int

	watch    atomic.Pointer[watch]
	refused  atomic.Uint64
	reported uint64
	quiet    time.Time // no report of refused signals before

	backlog *backlog
	conn    *conn        // nil while there is none
	opened  chan opening // the outcome of the attempt under way
	retry   *time.Timer  // armed between attempts
	retries int
	since   time.Time // when the bus was lost; zero at start
	ever    bool      // connected before

	rules    []string
	requests map[uint32]request
	queue    []string        // units whose snapshot is to be asked for
	asked    int             // snapshots on their way
	lists    int             // lists of units on their way
	units    map[string]bool // true once the snapshot is there, in this connection

	subscribed bool
}

type opening struct {
	conn    *conn
	backlog *backlog
	err     error
}

// A request is what a reply is awaited for.
type request struct {
	member string
	unit   string
}

// New returns a source that gives up, with ErrNoBus, when the bus cannot be
// reached at start and not in maxRetries further attempts either.
func New(log logrus.FieldLogger, maxRetries int) *Stage {
	s := &Stage{log: log, maxRetries: maxRetries, opened: make(chan opening, 1), retry: time.NewTimer(0)}
	s.retry.Stop()
	return s
}

type port = pipeline.Port[List, Signal]

// Run connects when the first list is there, and ends when lists do.
func (s *Stage) Run(ctx context.Context, p *port) error {
	defer s.disconnect()
	for {
		var received <-chan struct{}
		if s.conn != nil {
			received = s.backlog.ready
		}
		var err error
		select {
		case list, ok := <-p.In:
			if !ok {
				return s.receive(ctx, p)
			}
			err = s.apply(ctx, p, list)
		case <-received:
			err = s.receive(ctx, p)
		case o := <-s.opened:
			err = s.connected(p, o)
		case <-s.retry.C:
			s.connect()
		case q := <-p.Probes:
			q.Answer(s.answer())
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (s *Stage) answer() pipeline.Answer {
	switch {
	case s.conn == nil && s.ever:
		return pipeline.Answer{Owing: true, Status: "bus lost since " + s.since.Format(timeFormat)}
	case s.conn == nil:
		return pipeline.Answer{Owing: true, Status: connectingText}
	}
	s.reportRefused(time.Now())
	return pipeline.Answer{Owing: !s.synced()}
}

// synced reports whether the state of every unit was handed on.
func (s *Stage) synced() bool {
	return s.conn != nil && s.subscribed && len(s.requests) == 0 && len(s.queue) == 0
}

// apply makes a list the one that is monitored.
func (s *Stage) apply(ctx context.Context, p *port, list List) error {
	first := s.watch.Load() == nil
	known := list.Known
	if !first {
		known = s.watch.Load().names()
	}
	w := newWatch(list.Services, known)
	s.watch.Store(w)
	for _, unit := range known {
		if !Match(list.Services, unit) {
			delete(s.units, unit)
			if err := p.Send(ctx, Signal{Kind: Forgotten, Unit: unit, Time: time.Now()}); err != nil {
				return err
			}
		}
	}
	switch {
	case first:
		s.connect()
	case s.conn != nil:
		return s.failed(p, s.subscribe())
	}
	return nil
}

// connect begins an attempt, in a goroutine of its own because it may block.
func (s *Stage) connect() {
	b := newBacklog()
	c := &conn{backlog: b, watch: &s.watch, refused: &s.refused}
	go func() { s.opened <- opening{c, b, c.open()} }()
}

func (s *Stage) connected(p *port, o opening) error {
	if o.err != nil {
		if !s.ever && s.retries >= s.maxRetries {
			return fmt.Errorf("%w: %w (tried %d times)", ErrNoBus, o.err, s.retries+1)
		}
		delay := min(firstRetry<<min(s.retries, 16), lastRetry)
		s.retries++
		s.retry.Reset(delay)
		s.log.WithFields(logrus.Fields{"error": o.err, "retry": delay}).Warn("cannot reach the system bus")
		return nil
	}
	s.conn, s.backlog, s.ever, s.retries = o.conn, o.backlog, true, 0
	s.rules, s.requests, s.queue, s.asked, s.lists = nil, make(map[uint32]request), nil, 0, 0
	s.units = make(map[string]bool)
	s.log.Info("connected to the system bus")
	err := s.askBus("GetNameOwner", systemd) // the first: its serial is how the connection knows the reply
	if err == nil {
		err = s.subscribe()
	}
	return s.failed(p, err)
}

// failed treats an error of the connection: it is dropped and made anew.
func (s *Stage) failed(p *port, err error) error {
	if err == nil || s.conn == nil {
		return nil
	}
	s.log.WithField("error", err).Warn("lost the system bus")
	s.disconnect()
	s.since = time.Now()
	s.retry.Reset(firstRetry / 10) // a restarted bus is back at once
	p.Nudge()
	return nil
}

func (s *Stage) disconnect() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// subscribe renews the match rules, and asks PID 1 for everything.
func (s *Stage) subscribe() error {
	rules := s.watch.Load().rules()
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
	w := s.watch.Load()
	s.subscribed = false
	if err := s.ask(request{member: "Subscribe"}, systemd, managerPath, managerInterface); err != nil {
		return err
	}
	for _, list := range []string{listUnits, listUnitFiles} {
		if len(w.globs) == 0 {
			break
		}
		s.lists++
		if err := s.ask(request{member: list}, systemd, managerPath, managerInterface, []string{}, w.globs); err != nil {
			return err
		}
	}
	for _, unit := range w.names() {
		if _, asked := s.units[unit]; !asked {
			s.await(unit)
		}
	}
	return s.askSnapshots()
}

// await queues the unit for a snapshot, before which it says nothing.
func (s *Stage) await(unit string) {
	s.units[unit] = false
	s.queue = append(s.queue, unit)
}

func (s *Stage) askBus(member, arg string) error {
	return s.ask(request{member: member}, busName, "/org/freedesktop/DBus", busName, arg)
}

// ask sends a request and remembers what its reply is to.
func (s *Stage) ask(r request, destination, path, iface string, args ...any) error {
	serial, err := s.conn.request(destination, dbus.ObjectPath(path), iface, r.member, args...)
	if err != nil {
		return fmt.Errorf("cannot call %s: %w", r.member, err)
	}
	s.requests[serial] = r
	return nil
}

// askSnapshots asks for queued snapshots, a window at a time: PID 1 answers
// them between other work, and the socket never fills.
func (s *Stage) askSnapshots() error {
	for s.asked < window && len(s.queue) > 0 {
		unit := s.queue[0]
		s.queue = s.queue[1:]
		// No interface means all of them: one reply, from one moment, with the
		// Unit half and the Service half (this is what systemctl show asks).
		if err := s.ask(request{"GetAll", unit}, systemd, escape(unit), properties, ""); err != nil {
			return err
		}
		s.asked++
	}
	return nil
}

// receive hands on what the connection took off the stream.
func (s *Stage) receive(ctx context.Context, p *port) error {
	if s.conn == nil {
		return nil
	}
	items, dropped := s.backlog.get()
	for _, it := range items {
		if err := s.handle(ctx, p, it); err != nil {
			return err
		}
		if s.conn == nil {
			return nil
		}
	}
	for unit, n := range dropped {
		s.log.WithFields(logrus.Fields{"unit": unit, "signals": n}).Warn("fell behind and dropped signals; asking for the unit's state")
		s.await(unit)
		if err := p.Send(ctx, Signal{Kind: Lost, Unit: unit, Time: time.Now()}); err != nil {
			return err
		}
	}
	err := s.failed(p, s.askSnapshots())
	if s.synced() {
		p.Nudge()
	}
	return err
}

func (s *Stage) handle(ctx context.Context, p *port, it item) error {
	switch it.kind {
	case signal:
		return s.handOn(ctx, p, it)
	case reply:
		return s.replied(ctx, p, it)
	case reloaded:
		s.queue = append(s.queue, s.watch.Load().names()...)
	case newOwner:
		// It may have forgotten its subscribers: before systemd 257 it does when it
		// loses the bus itself. Match rules are the bus's, and stay.
		s.log.Info("systemd has a new name on the bus; subscribing again")
		s.queue, s.asked, s.lists = s.watch.Load().names(), 0, 0
		return s.failed(p, s.inquire())
	case lost:
		return s.failed(p, it.err)
	}
	return nil
}

// handOn sends a change on. Before a unit's first snapshot nothing can be made
// of its changes, and the snapshot is younger than they are.
func (s *Stage) handOn(ctx context.Context, p *port, it item) error {
	present, known := s.units[it.unit]
	if !known && Match(s.watch.Load().globs, it.unit) {
		s.watch.Store(s.watch.Load().with(it.unit))
		if s.lists > 0 {
			s.await(it.unit)
			return s.failed(p, s.askSnapshots())
		}
		// It was not there when the units were listed: it appears with this very
		// change, so nothing came before it.
		s.units[it.unit], present = true, true
	}
	if !present {
		return nil
	}
	return p.Send(ctx, Signal{Kind: Changed, Unit: it.unit, Body: it.body, Order: it.order, Time: it.time})
}

func (s *Stage) replied(ctx context.Context, p *port, it item) error {
	r, ok := s.requests[it.serial]
	if !ok {
		return nil
	}
	delete(s.requests, it.serial)
	if it.nobody {
		// PID 1 is not on the bus (yet, or while it re-executes itself). Its return
		// is announced, and then everything is asked for again.
		return nil
	}
	switch r.member {
	case "GetAll":
		return s.snapshot(ctx, p, r.unit, it)
	case listUnits, listUnitFiles:
		s.lists--
	}
	if it.err != nil {
		return s.failed(p, fmt.Errorf("cannot call %s: %w", r.member, it.err))
	}
	switch r.member {
	case "Subscribe":
		s.subscribed = true
	case listUnits:
		s.listed(it, "sssssouso")
	case listUnitFiles:
		s.listed(it, "s")
	}
	return nil
}

func (s *Stage) snapshot(ctx context.Context, p *port, unit string, it item) error {
	s.asked--
	if _, ok := s.watch.Load().units[escape(unit)]; !ok {
		return nil // removed by a reload meanwhile
	}
	s.units[unit] = true
	out := Signal{Kind: Snapshot, Unit: unit, Body: it.body, Order: it.order, Time: it.time}
	if it.err != nil {
		s.log.WithFields(logrus.Fields{"unit": unit, "error": it.err}).Warn("systemd does not show the unit")
		out = Signal{Kind: Missing, Unit: unit, Time: it.time}
	}
	return p.Send(ctx, out)
}

// listed adds the units of a reply, an array of structs that begin with a name
// or the path of a unit file, and hold rest after it.
func (s *Stage) listed(it item, rest string) {
	w := s.watch.Load()
	units := w.names()
	r := wire.NewReader(it.body, it.order)
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		name := path.Base(string(r.String()))
		for i := range len(rest) {
			r.Skip([]byte{rest[i]})
		}
		_, known := s.units[name]
		template := strings.Contains(name, "@.")
		if r.Err() == nil && !known && !template && Match(w.globs, name) {
			units = append(units, name)
			s.await(name)
		}
	}
	s.watch.Store(w.having(units))
}

// reportRefused logs, at most once a minute, that signals were refused.
func (s *Stage) reportRefused(now time.Time) {
	n := s.refused.Load()
	if n > s.reported && now.After(s.quiet) {
		s.log.WithField("signals", n-s.reported).Warn("refused signals that are not from systemd or not well-formed")
		s.reported, s.quiet = n, now.Add(refusedEvery)
	}
}
