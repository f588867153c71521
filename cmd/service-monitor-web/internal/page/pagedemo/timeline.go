package main

import (
	"time"

	"service-monitor/stages/chronicle/store"
)

type mark struct {
	At    float64 `json:"at"`
	Count int64   `json:"count"`
}

type stretch struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Phase string  `json:"phase"`
	at    time.Time
}

type unitLine struct {
	Unit    string    `json:"unit"`
	Spans   []stretch `json:"spans"`
	Crashes []mark    `json:"crashes"`
}

type timeline struct {
	From  time.Time   `json:"from"`
	To    time.Time   `json:"to"`
	Units []*unitLine `json:"units"`
}

// timeline returns how the units were since a time.
func (w *world) timeline(from, now time.Time, unit string) timeline {
	out := timeline{From: from.In(zone), To: now.In(zone), Units: []*unitLine{}}
	lines := map[string]*unitLine{}
	for _, t := range w.units {
		if unit == "" || unit == t.Unit {
			l := &unitLine{Unit: t.Unit, Spans: []stretch{}, Crashes: []mark{}}
			lines[t.Unit] = l
			out.Units = append(out.Units, l)
		}
	}
	for i := range w.records {
		r := &w.records[i]
		if r.Kind == store.Monitor {
			for _, l := range lines {
				l.watched(r.Time, r.To == store.Started)
			}
		} else if l := lines[r.Unit]; l != nil {
			l.add(r, from)
		}
	}
	for _, l := range lines {
		end := now
		if !w.stopped.IsZero() {
			end = w.stopped
		}
		l.enter("", end)
		l.cut(from)
	}
	return out
}

// enter ends the present stretch, and begins one.
func (l *unitLine) enter(phase string, at time.Time) {
	if n := len(l.Spans); n > 0 {
		l.Spans[n-1].To = float64(at.UnixMicro())
	}
	l.Spans = append(l.Spans, stretch{Phase: phase, at: at, From: float64(at.UnixMicro())})
}

// watched ends a time in which nobody watched, or begins one.
func (l *unitLine) watched(at time.Time, again bool) {
	n := len(l.Spans)
	switch {
	case n == 0:
	case !again:
		l.enter("unobserved", at)
	case n > 1:
		l.enter(l.Spans[n-2].Phase, at)
	}
}

func (l *unitLine) add(r *store.Record, from time.Time) {
	switch r.Kind {
	case store.Start:
		l.enter("up", r.Time)
	case store.Stop:
		l.enter("stopped", r.Time)
	case store.Crash:
		l.enter("down", r.Time)
		if !r.Time.Before(from) {
			l.Crashes = append(l.Crashes, mark{r.Time.Sub(from).Seconds(), 1})
		}
	case store.Seen:
		phase := "stopped"
		if r.To == "active" {
			phase = "up"
		}
		l.enter(phase, r.Time)
	}
}

// cut leaves only what is after a time, and counts from there.
func (l *unitLine) cut(from time.Time) {
	begin := float64(from.UnixMicro())
	spans := []stretch{}
	for _, s := range l.Spans {
		if s.Phase == "" || s.To <= begin {
			continue
		}
		s.From, s.To = (max(s.From, begin)-begin)/1e6, (s.To-begin)/1e6
		spans = append(spans, s)
	}
	l.Spans = spans
}
