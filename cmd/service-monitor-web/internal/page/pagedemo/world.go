package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/bus/plan"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
	"service-monitor/stages/journald/records"
)

// boot is the boot in which everything happens. It began before all of it.
const boot = "3a0e5c86b1f24c0f9d4be2a7c1d05f38"

var zone = time.FixedZone("", 2*60*60)

// A world is what a monitor has seen.
type world struct {
	began    time.Time // the boot
	units    []*count.Tally
	plans    map[string]*plan.Plan
	boxes    map[string][]blackbox.Box
	records  []store.Record // in the order of their times
	troubles []string
	stopped  time.Time
	runs     uint64
}

func newWorld(now time.Time) *world {
	return &world{began: now.Add(-9 * 24 * time.Hour), plans: map[string]*plan.Plan{}, boxes: map[string][]blackbox.Box{}}
}

// unit adds a unit, in a state in which it was seen first.
func (w *world) unit(name, active, sub string, at time.Time) *count.Tally {
	t := &count.Tally{Unit: name, State: active, Changed: at, Life: &classify.Life{ActiveState: active, SubState: sub}}
	if active == "active" && sub == "running" {
		t.FirstSeenRunning = 1
		w.run(t, at)
	}
	w.units = append(w.units, t)
	w.record(t, store.Record{Kind: store.Seen, To: active, Time: at})
	return t
}

func (w *world) monotonic(at time.Time) uint64 { return uint64(at.Sub(w.began).Microseconds()) }

// run begins a run of a unit.
func (w *world) run(t *count.Tally, at time.Time) {
	w.runs++
	life := *t.Life
	life.Invocation = decode.Invocation{}
	binary.BigEndian.PutUint64(life.Invocation[:], 0x5b1f3c7794e0a001+w.runs*0x10001)
	life.Begun, life.Ran, life.Ended, life.Retrying, life.GivenUp = w.monotonic(at), true, false, false, false
	t.Life = &life
}

// enter puts a unit into a state.
func (w *world) enter(t *count.Tally, active, sub string, at time.Time) {
	life := *t.Life
	life.ActiveState, life.SubState = active, sub
	t.State, t.Changed, t.Life = active, at, &life
}

func (w *world) record(t *count.Tally, r store.Record) {
	r.Boot, r.Monotonic, r.Time = boot, w.monotonic(r.Time), r.Time.In(zone).Truncate(time.Microsecond)
	if t != nil {
		r.Unit, r.Delta, r.After = t.Unit, store.Single(r.Kind, 0), chronicle.Counts(t)
		if r.Kind == store.Stop || r.Kind == store.Crash {
			r.Invocation = t.Life.Invocation
		}
	}
	w.records = append(w.records, r)
}

func (w *world) start(t *count.Tally, at time.Time) {
	down := time.Duration(0)
	if c := t.LastCrash; c != nil && t.Life.Ended {
		down = at.Sub(c.Time)
	}
	t.Starts++
	w.run(t, at)
	w.enter(t, "active", "running", at)
	w.record(t, store.Record{Kind: store.Start, To: "active", Time: at, Down: down})
}

// ran returns how long the present run took by a time.
func (w *world) ran(t *count.Tally, at time.Time) time.Duration {
	return time.Duration(w.monotonic(at)-t.Life.Begun) * time.Microsecond
}

func (w *world) stop(t *count.Tally, at time.Time, from string) {
	up := w.ran(t, at)
	t.Stops++
	w.enter(t, "inactive", "dead", at)
	t.Life.Ended = true
	w.record(t, store.Record{Kind: store.Stop, From: from, To: "inactive", Result: "success", Time: at, Up: up})
}

// crash lets a run end. If again is true, systemd is going to restart the unit.
func (w *world) crash(t *count.Tally, at time.Time, c classify.Cause, again bool, said ...string) {
	up := w.ran(t, at)
	t.Crashes++
	t.LastCrash = &count.Crash{Time: at.In(zone), Cause: c, Invocation: t.Life.Invocation.String(), Clock: w.monotonic(at), Boot: boot}
	if again {
		w.enter(t, "activating", "auto-restart", at)
	} else {
		w.enter(t, "failed", "failed", at)
	}
	t.Life.Ended, t.Life.Retrying = true, again
	w.record(t, store.Record{Kind: store.Crash, From: "active", To: t.State, Result: c.Result, Code: c.Code, Status: c.Status, Rule: "down-after-run", Time: at, Up: up})
	if len(said) == 0 {
		return
	}
	box := blackbox.Box{Unit: t.Unit, Invocation: hex.EncodeToString(t.Life.Invocation[:]), Time: at.In(zone), Result: c.Result, Code: c.Code, Status: c.Status, CPU: 1840 * time.Millisecond, Memory: 48 << 20}
	for i, text := range said {
		from, _, _ := bytes.Cut([]byte(t.Unit), []byte(".service"))
		box.Lines = append(box.Lines, records.Line{Time: at.In(zone).Add(time.Duration(i-len(said)) * 90 * time.Millisecond), From: string(from) + "[4711]", Text: text})
	}
	w.boxes[t.Unit] = append(w.boxes[t.Unit], box)
}

func (w *world) restart(t *count.Tally, at time.Time) {
	t.Restarts++
	w.record(t, store.Record{Kind: store.Restart, From: "activating", To: "activating", Time: at})
	w.start(t, at)
}

func (w *world) giveUp(t *count.Tally, at time.Time) {
	w.enter(t, "failed", "failed", at)
	t.Life.Retrying, t.Life.GivenUp = true, true
	w.record(t, store.Record{Kind: store.GaveUp, To: "failed", Result: classify.StartLimitHit, Time: at})
}

// away is a time in which no monitor ran.
func (w *world) away(from, to time.Time) {
	w.record(nil, store.Record{Kind: store.Monitor, To: store.Stopped, Time: from})
	w.record(nil, store.Record{Kind: store.Monitor, To: store.Started, Time: to})
}

// finish puts the records in their order, and numbers them.
func (w *world) finish() *world {
	slices.SortStableFunc(w.records, func(a, b store.Record) int { return a.Time.Compare(b.Time) })
	for i := range w.records {
		w.records[i].Seq = uint64(i + 1)
	}
	return w
}

// --- what there is to say about it ---

func (w *world) status(now time.Time) *tell.Status {
	now = now.In(zone)
	s := &tell.Status{
		Now: now, AsOf: now, Host: "gw-0042", Stopped: w.stopped, Troubles: w.troubles, Since: w.records[0].Time,
		Clock: tell.Clock{Now: now, Boot: boot, Since: w.monotonic(now)},
	}
	if !w.stopped.IsZero() {
		s.AsOf = w.stopped
	}
	blind := slices.ContainsFunc(w.troubles, func(text string) bool { return strings.HasPrefix(text, "bus lost ") })
	s.Monitor.Counters = &feed.Counters{Connected: !blind}
	units := map[string]*tell.Unit{}
	for _, t := range w.units {
		units[t.Unit] = &tell.Unit{Tally: t, Plan: w.plan(t)}
		s.Units = append(s.Units, units[t.Unit])
	}
	for i := range w.records {
		if r := &w.records[i]; units[r.Unit] != nil {
			units[r.Unit].Add(r, now)
		}
	}
	s.Units = s.Ordered()
	return s
}

// plan returns what systemd would do with a unit now.
func (w *world) plan(t *count.Tally) *plan.Plan {
	p := w.plans[t.Unit]
	if p == nil {
		return nil
	}
	now := *p
	now.Active, now.Sub, now.Entered = t.State, t.Life.SubState, w.monotonic(t.Changed)
	return &now
}

func (w *world) why(now time.Time, unit string, number int64) *tell.Why {
	s := w.status(now)
	at := slices.IndexFunc(s.Units, func(u *tell.Unit) bool { return u.Unit == unit })
	if at < 0 {
		return nil
	}
	y := &tell.Why{Status: s, Unit: &tell.Unit{Tally: s.Units[at].Tally, Plan: s.Units[at].Plan}, Number: number, Boxes: w.boxes[unit]}
	for i := range w.records {
		y.Add(&w.records[i])
	}
	y.CatchUp()
	for i := range w.records {
		y.Near(&w.records[i])
	}
	y.Uptime = s.Availability(s.Units[at])
	return y
}

// A statusText is a status as JSON, unit by unit.
type statusText struct {
	Monitor json.RawMessage   `json:"monitor"`
	Units   []json.RawMessage `json:"units"`
	Seq     uint64            `json:"seq"`
}

func (w *world) statusText(now time.Time) (out statusText) {
	var b bytes.Buffer
	if err := w.status(now).WriteJSON(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		panic(err)
	}
	out.Seq = w.seq()
	return out
}

// seq returns the number of the last record.
func (w *world) seq() uint64 {
	if n := len(w.records); n > 0 {
		return w.records[n-1].Seq
	}
	return 0
}
