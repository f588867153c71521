package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

const (
	// pause is how long changes are collected. So in a storm a unit is told ten times a second at
	// most.
	pause = 100 * time.Millisecond
	// most is how many listeners there may be.
	most = 64
	// behind is how many bytes may wait for a slow listener. All listeners share the texts that
	// wait. So however many are slow, no more memory is taken.
	behind = 256 << 10
	// crowded is how many bytes of events are collected at most. If there are more, they are told
	// before the pause is over.
	crowded = behind / 4
	// patience is how long one write to a listener may take.
	patience = 10 * time.Second
	// Backlog is how many records may wait for the feed. It is twice what the chronicle writes at
	// once.
	Backlog = 2048
)

// Stage is the feed.
type Stage struct {
	log      logrus.FieldLogger
	socket   string
	monitor  Monitor
	counters func() *Counters        // may be nil
	saved    <-chan struct{}         // nil if nobody saves
	units    map[string]*count.Tally // shared with the events
	records  *pipeline.Second[store.Record]
	encode   func(io.Writer, *store.Record) error
	trouble  chan []string // the newest troubles of the monitor that the stage does not know yet
	caughtUp chan struct{} // has room for one token
	clients  map[*client]bool
	left     chan *client
	changed  map[string]bool // the units that have changed, but were not told yet
	news     bool            // the troubles of the monitor have changed, but were not told yet
	events   bytes.Buffer    // what has happened, but was not told yet, as JSON
	waiting  bool            // the timer runs
	timer    *time.Timer
	buf      bytes.Buffer
}

// New returns a feed on a socket. known are the units of the state file. encode writes a record as
// JSON, one object a line.
func New(log logrus.FieldLogger, socket string, monitor Monitor, known map[string]*count.Tally, records *pipeline.Second[store.Record], encode func(io.Writer, *store.Record) error) *Stage {
	s := &Stage{
		log: log, socket: socket, monitor: monitor, units: maps.Clone(known), records: records, encode: encode,
		trouble: make(chan []string, 1), caughtUp: make(chan struct{}, 1), clients: map[*client]bool{}, left: make(chan *client), changed: map[string]bool{}, timer: time.NewTimer(0),
	}
	s.monitor.Troubles = []string{} // and not null
	if s.units == nil {
		s.units = map[string]*count.Tally{}
	}
	s.timer.Stop()
	return s
}

// Count has counters called for each new listener, in the feed's own goroutine. It must not block. It
// is set before Run.
func (s *Stage) Count(counters func() *Counters) { s.counters = counters }

// Outlast lets the feed last until saved is closed. It is set before Run.
func (s *Stage) Outlast(saved <-chan struct{}) { s.saved = saved }

// Troubles tells the listeners what is wrong with the monitor. It does not block, and it must not be
// called from two goroutines at a time.
func (s *Stage) Troubles(list []string) {
	select {
	case <-s.trouble:
	default:
	}
	s.trouble <- append([]string{}, list...)
}

// CaughtUp tells the listeners that the counts have all that happened before the monitor was started. Their
// events must have arrived. It does not block.
func (s *Stage) CaughtUp() {
	select {
	case s.caughtUp <- struct{}{}:
	default:
	}
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run tells what changes until there are no more events and no more records. If the socket cannot
// be made, nobody can listen, but the monitor goes on.
func (s *Stage) Run(ctx context.Context, p *port) error {
	conns, end := s.listen()
	// The socket is closed first. So a listener whose stream has ended finds nobody there, and
	// knows that the monitor has stopped.
	defer func() { end(); s.leaveAll() }()
	for events := p.In; events != nil || s.records.In != nil; {
		select {
		case batch, ok := <-events:
			if !ok {
				events = nil
			}
			for i := range batch {
				s.take(&batch[i])
			}
		case batch, ok := <-s.records.In:
			for i := range batch {
				s.record(&batch[i])
			}
			if !ok && s.records.Again() { // records are missing, so the listeners have to read them in the chronicle
				s.tell()
				s.leaveAll()
			}
		case s.monitor.Troubles = <-s.trouble:
			s.news = true
			s.soon()
		case <-s.caughtUp:
			if s.monitor.CatchingUp {
				s.monitor.CatchingUp, s.news = false, true
				s.soon()
			}
		case conn := <-conns:
			s.join(conn)
		case c := <-s.left:
			s.leave(c)
		case <-s.timer.C:
			s.tell()
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.tell()
	return s.outlast(ctx, p, conns)
}

// outlast ends when all is saved. A listener whose stream has ended reads what was saved, and it does so only
// once.
func (s *Stage) outlast(ctx context.Context, p *port, conns <-chan net.Conn) error {
	for s.saved != nil {
		select {
		case <-s.saved:
			return nil
		case conn := <-conns:
			s.join(conn)
		case c := <-s.left:
			s.leave(c)
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take notes an event.
func (s *Stage) take(e *count.Event) {
	unit := e.Tally.Unit
	switch e.Kind {
	case classify.Forgotten:
		delete(s.units, unit)
	case classify.Folded:
		// An event of its glob tells the sum. That event may come before this one.
		delete(s.units, e.Unit)
		unit = e.Unit
	default:
		s.units[unit] = e.Tally
	}
	if len(s.clients) > 0 {
		s.changed[unit] = true
		s.soon()
	}
}

// record notes a record of the chronicle for the listeners.
func (s *Stage) record(r *store.Record) {
	if len(s.clients) == 0 {
		return
	}
	s.buf.Reset()
	_ = s.encode(&s.buf, r) // every record can be encoded
	for line := range bytes.Lines(s.buf.Bytes()) {
		_ = json.NewEncoder(&s.events).Encode(Message{Event: line})
	}
	if s.soon(); s.events.Len() > crowded {
		s.tell()
	}
}

// soon makes sure that tell is called after a pause.
func (s *Stage) soon() {
	if !s.waiting {
		s.waiting = true
		s.timer.Reset(pause)
	}
}

// tell tells the listeners what has changed. It disconnects those that are too slow.
func (s *Stage) tell() {
	s.buf.Reset()
	for _, unit := range slices.Sorted(maps.Keys(s.changed)) {
		write(&s.buf, s.units, unit)
	}
	s.buf.Write(s.events.Bytes())
	if s.news { // after the units, because it may say that they have caught up
		s.news = false
		monitor := s.about()
		_ = json.NewEncoder(&s.buf).Encode(Message{Monitor: &monitor}) // it can be encoded
	}
	text := bytes.Clone(s.buf.Bytes())
	clear(s.changed)
	s.events.Reset()
	s.timer.Stop()
	if s.waiting = false; len(text) == 0 {
		return
	}
	for c := range s.clients {
		if !c.offer(text) {
			s.leave(c)
			c.conn.Close() // ends the write under way, which may be stuck
		}
	}
}

// write appends a message about the present state of a unit. If there is no such unit, the message
// says that it is gone.
func write(b *bytes.Buffer, units map[string]*count.Tally, unit string) {
	m := Message{Gone: unit}
	if tally := units[unit]; tally != nil {
		m = Message{Unit: unitOf(tally)}
		m.Unit.Since = zone.Local(m.Unit.Since)
	}
	_ = json.NewEncoder(b).Encode(m) // every such message can be encoded
}
