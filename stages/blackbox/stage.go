package blackbox

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/files"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/zone"
)

const (
	// settle is how long to wait before the journal is asked for the lines of a run. It doubles
	// with each attempt.
	settle = time.Second
	// attempts is how often the journal is asked for the lines of a run at most.
	attempts = 5
	// pace is how long to wait after one attempt for any unit before the next one begins. So in a
	// storm, journalctl(1) runs once a second at most.
	pace = time.Second
	// near is how soon one crash of a loop follows another.
	near = 10 * time.Minute
	// seldom is how long after a box the next one may be made in a loop. If the loop had no crash
	// of that cause before, it is other, but only for so many causes.
	seldom = time.Hour
	other  = time.Minute
	causes = 8
	// old is the age from which a crash gets no box when the monitor starts.
	old = 24 * time.Hour
	// waiting is how many crashes may wait for their boxes.
	waiting = 1000
	// answer is how long the journal may take. If it takes longer, the attempt has failed.
	answer = 10 * time.Second
	// These times are about a disk that fails.
	firstRetry = time.Second
	lastRetry  = time.Minute
	slow       = 30 * time.Second
)

// Words returns what the journal has of a run, as records.LastWords does.
type Words func(ctx context.Context, unit string, run records.Invocation, crashed time.Time, lines int) (records.Words, error)

// Stage makes the boxes.
type Stage struct {
	log   logrus.FieldLogger
	dir   string
	lines int
	words Words
	units map[string]*unit
	wants []*want // crashes that wait for their boxes
	doing *want   // the one whose box is being made
	out   pipeline.Outlet
	ready time.Time // no box is begun before
	alarm pipeline.Alarm

	written *files.Meter
}

// Meter has m count the bytes that are written into boxes. It is called before Run.
func (s *Stage) Meter(m *files.Meter) { s.written = m }

// A unit is what the stage knows of the crashes of a unit.
type unit struct {
	invocation string           // the last run that crashed
	crashed    time.Time        // when that was seen
	boxed      time.Time        // when the last crash that gets a box was seen
	causes     []classify.Cause // of the crashes that got boxes since the loop began
}

// A want is a box that is to be made.
type want struct {
	box   Box
	own   string // the unit's own name
	run   decode.Invocation
	begun time.Time // when it began to wait
	fresh bool      // the unit had crashed just before that
	due   time.Time
	asked int // how often the journal was asked
}

// New returns a stage that puts boxes into dir. Each box has so many lines of a run. known are the
// units of the state file.
func New(log logrus.FieldLogger, dir string, lines int, words Words, known map[string]*count.Tally) *Stage {
	s := &Stage{log: log, dir: dir, lines: lines, words: words, units: map[string]*unit{}}
	s.out = pipeline.Outlet{
		Retry: firstRetry, RetryMax: lastRetry, Slow: slow, TooLong: errors.New("the disk does not answer"),
		TroubleStatus: func(since time.Time) string { return "cannot keep the last words of crashes " + zone.Since(since) },
		OnTrouble: func(err error, _ time.Duration) {
			s.log.WithError(err).Error("cannot keep the last words of a run that crashed; monitoring goes on, and so do the counts")
		},
		OnRecovered: func(after time.Duration) {
			s.log.WithField("after", after.Round(time.Second)).Info("last words are kept again")
		},
	}
	now := time.Now()
	for _, t := range known { // the last monitor may have been killed before it made the box
		if c := t.LastCrash; c != nil && lines > 0 {
			if now.Sub(c.Time) < old && !has(dir, c, t.Unit) {
				s.take(t, now)
			} else {
				s.units[t.Unit] = &unit{invocation: c.Invocation}
			}
		}
	}
	return s
}

// has reports whether the newest box of a unit was made after a crash. After a power cut, its file may
// be there without its content. If root may not use the directory, there is no box either, and save says why.
func has(dir string, c *count.Crash, unit string) bool {
	if _, err := files.Follow(dir); err != nil {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, unit))
	if err != nil || !info.ModTime().After(c.Time) {
		return false
	}
	boxes, err := Read(dir, unit)
	return err != nil || len(boxes) > 0
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run makes boxes until the events end. Then boxes may be missing, because a stop shall not wait
// for the journal or the disk. The next start makes them.
func (s *Stage) Run(ctx context.Context, p *port) error {
	s.out.Nudge = p.Nudge
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		s.begin(asking, time.Now())
		s.alarm.Set(s.due())
		select {
		case batch, ok := <-p.In:
			if !ok {
				return nil
			}
			for i := range batch {
				s.event(&batch[i], time.Now())
			}
		case w := <-s.out.Done():
			s.ended(w, time.Now())
		case <-s.out.Timer():
			s.out.Turn()
		case <-s.alarm.C():
			s.alarm.Off()
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Trouble: s.out.Trouble()})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// event handles an event. Only crashes matter, and that a unit is gone.
func (s *Stage) event(e *count.Event, now time.Time) {
	switch e.Kind {
	case classify.Forgotten, classify.Folded:
		delete(s.units, e.Unit)
	default:
		if s.lines > 0 {
			s.take(e.Tally, now)
		}
	}
}

// take lets the last crash of a unit wait for its box. In a loop, only some crashes get one.
func (s *Stage) take(t *count.Tally, now time.Time) {
	c := t.LastCrash
	if c == nil || c.Invocation == "" || t.Life != nil && t.Life.Pattern {
		return
	}
	u := s.units[t.Unit]
	if u == nil {
		u = &unit{}
		s.units[t.Unit] = u
	}
	if u.invocation == c.Invocation {
		return
	}
	loops := !u.boxed.IsZero() && now.Sub(u.crashed) < near
	u.invocation, u.crashed = c.Invocation, now
	if !loops {
		u.causes = nil
	}
	pause, fresh := seldom, !slices.Contains(u.causes, c.Cause) && len(u.causes) < causes
	if fresh {
		pause = other
	}
	if loops && now.Sub(u.boxed) < pause || len(s.wants) >= waiting {
		return
	}
	w := &want{own: t.Unit, begun: now, fresh: now.Sub(c.Time) < time.Minute, due: now.Add(settle), box: Box{
		Unit: t.Unit, Invocation: c.Invocation, Time: zone.Local(c.Time), Result: c.Cause.Result, Code: c.Cause.Code, Status: c.Cause.Status,
	}}
	if t.Life != nil {
		w.own = cmp.Or(t.Life.Name, t.Unit)
	}
	if w.run.UnmarshalText([]byte(c.Invocation)) == nil {
		if u.boxed = now; fresh {
			u.causes = append(u.causes, c.Cause)
		}
		s.wants = append(s.wants, w)
	}
}

// next returns the box that is due first; nil if none waits.
func (s *Stage) next() (first *want) {
	for _, w := range s.wants {
		if first == nil || w.due.Before(first.due) {
			first = w
		}
	}
	return first
}

// begin begins to make the next box, if it is time.
func (s *Stage) begin(ctx context.Context, now time.Time) {
	w := s.next()
	if w == nil || now.Before(w.due) || now.Before(s.ready) || !s.out.Ready() {
		return
	}
	s.doing = w
	s.out.Write(func() (int, error) { return s.make(ctx, w) })
}

// make makes a box. It returns 1 if the crash is done with, and 0 if the journal has to be asked
// again.
func (s *Stage) make(ctx context.Context, w *want) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	said, err := s.words(ctx, w.own, w.run, w.box.Time, s.lines)
	over := err == nil && said.Over && (w.box.Result != "core-dump" || said.Core != 0 || w.asked >= attempts/2)
	if !over && w.asked+1 < attempts && w.fresh && time.Since(w.begun) < time.Minute { // the clock may have been set since
		return 0, nil
	}
	if len(said.Lines) == 0 { // the journal cannot be read, or has lost the lines
		return 1, nil
	}
	w.box.CPU, w.box.Memory, w.box.Core, w.box.Lines = said.CPU, said.Memory, said.Core, said.Lines
	if err := save(s.dir, w.box, s.written); err != nil {
		return 0, err
	}
	return 1, nil
}

// ended handles the outcome of make.
func (s *Stage) ended(w pipeline.Written, now time.Time) {
	_ = s.out.Ended(w) // it has an error only after Close, which nobody calls
	s.ready = now.Add(pace)
	switch {
	case w.N > 0:
		s.wants = slices.DeleteFunc(s.wants, func(w *want) bool { return w == s.doing })
	case w.Err == nil:
		s.doing.asked++
		s.doing.due = now.Add(settle << s.doing.asked)
	}
}

// due returns when begin will have something to do; zero if something else has to happen before.
func (s *Stage) due() time.Time {
	w := s.next()
	switch {
	case w == nil || s.out.Busy() || !s.out.Failing().IsZero():
		return time.Time{}
	case w.due.Before(s.ready):
		return s.ready
	}
	return w.due
}
