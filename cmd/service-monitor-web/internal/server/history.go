package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/view"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

const (
	// usualEvents is how many events a history has, and mostEvents how many it has at most.
	usualEvents, mostEvents = 50, 1000
	usualHours, mostHours   = 24, 168
)

// dir returns where the history is.
func (a *api) dir() string { return chronicle.Beside(a.config.State.File) }

// unitOf returns a function that reports whether the query of a request wants a unit.
func unitOf(r *http.Request) (name string, wants func(unit string) bool, err error) {
	q := r.URL.Query()
	if !q.Has("unit") {
		return "", view.All, nil
	}
	if name = config.Full(q.Get("unit")); name == "" { // the events of the monitor itself have no unit
		return "", nil, badQuery("unit is empty; leave it out for all services")
	}
	return name, func(unit string) bool { return unit == name }, nil
}

// timeline tells how the units were by time.
func (a *api) timeline(w http.ResponseWriter, r *http.Request) {
	var line *view.Timeline
	ok := a.reading(w, r, func() error {
		hours, err := number(r.URL.Query(), "hours", usualHours, 1, mostHours)
		if err != nil {
			return err
		}
		name, wants, err := unitOf(r)
		if err != nil {
			return err
		}
		now, err := a.now(r.Context(), name, wants)
		if err != nil {
			return err
		}
		t := view.NewTracer(now.Status, int(hours), wants)
		if err := a.each(0, t.Add); err != nil {
			return err
		}
		line = t.Timeline(now.Status)
		return nil
	})
	if ok {
		answer(w, func(b io.Writer) error { return json.NewEncoder(b).Encode(line) })
	}
}

// now returns the units that are wanted. If one is named, it must be there.
func (a *api) now(ctx context.Context, name string, wants func(string) bool) (view.Snapshot, error) {
	now, err := a.view.Now(ctx, wants)
	if err == nil && name != "" && len(now.Units) == 0 {
		all, err := a.view.Now(ctx, view.All)
		if err != nil {
			return now, err
		}
		return now, ask.NoSuch{Words: fmt.Errorf("none of the monitored services is called %s; %s", config.Show(name), ask.Meant(name, all.Names()))}
	}
	return now, err
}

// each calls add for each record of the history after a number, if there is a history.
func (a *api) each(after uint64, add func(*store.Record)) error {
	_, err := store.ReadAfter(a.dir(), after, func(r *store.Record) bool { add(r); return true })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// history tells the last events.
func (a *api) history(w http.ResponseWriter, r *http.Request) {
	var events [][]byte
	ok := a.reading(w, r, func() error {
		n, err := number(r.URL.Query(), "n", usualEvents, 1, mostEvents)
		if err != nil {
			return err
		}
		name, wants, err := unitOf(r)
		if err != nil {
			return err
		}
		last := make([]store.Record, 0, n) // a ring
		next, found := 0, false
		if err := a.each(0, func(r *store.Record) {
			found = found || r.Unit == name
			if r.Unit != "" && !wants(r.Unit) {
				return
			}
			if len(last) < int(n) {
				last = append(last, *r)
				return
			}
			last[next], next = *r, (next+1)%int(n)
		}); err != nil {
			return err
		}
		if name != "" && !found {
			if _, err := a.now(r.Context(), name, wants); err != nil {
				return err
			}
		}
		for i := range last {
			for _, e := range view.Events(&last[(next+i)%len(last)]) {
				events = append(events, e.Data)
			}
		}
		events = events[max(0, len(events)-int(n)):]
		return nil
	})
	if ok {
		answer(w, func(b io.Writer) error {
			_, err := fmt.Fprintf(b, "[%s]\n", bytes.Join(events, []byte(",")))
			return err
		})
	}
}
