package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"service-monitor/cmd/internal/view"
)

const (
	// pingEvery is how often a client that follows hears something. Else it cannot know that the link is
	// dead.
	pingEvery = 25 * time.Second
	// flushIn is how long a write to such a client may take.
	flushIn = 10 * time.Second
)

// A follower is one client that follows.
type follower struct {
	*api
	*stream
	place place
	w     http.ResponseWriter
	out   *http.ResponseController
}

// events tells what happens, as it happens.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	p, known, err := placeOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	select {
	case <-a.hub.ready:
	case <-ctx.Done():
		later(w, ctx.Err())
		return
	}
	s := a.hub.join(listenerOf(r))
	if s == nil {
		w.Header().Set("Retry-After", "30")
		refuse(w, http.StatusServiceUnavailable, "so many follow already that there is no room for more; ask again")
		return
	}
	defer a.hub.leave(s)
	f := &follower{api: a, stream: s, place: p, w: w, out: http.NewResponseController(w)}
	_ = f.out.SetReadDeadline(time.Time{}) // nothing more is read, and the connection lasts
	if f.begin(ctx, known) == nil {
		f.follow(r.Context())
	}
}

// begin tells what the client has missed.
func (f *follower) begin(ctx context.Context, known bool) error {
	if err := f.write([]byte(": service-monitor\nretry: 2000\n\n")); err != nil {
		return err
	}
	var gone []string
	since := f.place.seq
	switch p := f.place; {
	case !known:
		return f.reset(ctx)
	case !p.given:
		f.place.seq, since = f.from, f.from
	case p.seq != f.from || p.parts > 0:
		lost, forgotten, err := f.replay(ctx)
		if err != nil {
			return err
		}
		if lost {
			return f.reset(ctx)
		}
		gone = forgotten
	}
	if !f.place.given {
		since = 1<<64 - 1 // the client does not know any unit, so it need not know which have changed
	}
	return f.present(ctx, since, gone)
}

// present tells how the monitor is, and the units that have changed while a record was the last one, or
// later.
func (f *follower) present(ctx context.Context, since uint64, gone []string) error {
	events, err := f.view.Since(ctx, since)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	if len(gone) > 0 {
		all, err := f.view.Now(ctx, view.All)
		if err != nil {
			return err
		}
		for _, u := range all.Units {
			there[u.Unit] = true
		}
	}
	var text []byte
	for _, name := range gone {
		if !there[name] {
			data, _ := json.Marshal(map[string]string{"unit": name}) // it can be encoded
			text = append(text, textOf(&view.Event{Kind: view.Gone, Data: data})...)
		}
	}
	for i := range events {
		text = append(text, textOf(&events[i])...)
	}
	// An event without data is none, but its number counts. So a client that has heard of no event yet
	// can come back, too.
	if f.place.parts == 0 {
		text = append(text, "id: "+strconv.FormatUint(f.place.seq, 10)+"\n\n"...)
	}
	return f.write(text)
}

// reset tells the client to load everything anew.
func (f *follower) reset(ctx context.Context) error {
	f.place = place{given: true, seq: f.from}
	return f.write(textOf(&view.Event{Kind: view.Reset, Seq: f.from, Data: []byte("{}")}))
}

// replay tells what the client has missed. lost is true if the history does not have that.
func (f *follower) replay(ctx context.Context) (lost bool, gone []string, err error) {
	for {
		m, err := f.nextPart(ctx)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return f.place.record() > 0, nil, nil
		case err != nil:
			return false, nil, err
		case m.lost:
			return true, nil, nil
		}
		var text []byte
		for i := range m.events {
			text = append(text, textOf(&m.events[i])...)
		}
		if err := f.write(text); err != nil {
			return false, nil, err
		}
		gone = append(gone, m.gone...)
		if m.last > f.place.seq {
			f.place = place{given: true, seq: m.last}
		}
		if !m.more {
			return false, gone, nil
		}
	}
}

// nextPart reads a part of what the client has missed, while nobody else reads.
func (f *follower) nextPart(ctx context.Context) (missed, error) {
	select {
	case f.reads <- struct{}{}:
	case <-ctx.Done():
		return missed{}, ctx.Err()
	}
	defer func() { <-f.reads }()
	return readMissed(f.dir(), f.place, f.from)
}

// follow tells what happens until the client has gone, or is too slow, or all is over.
func (f *follower) follow(ctx context.Context) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-f.news:
			frames, more := f.take()
			var text []byte
			for i := range frames {
				if e := &frames[i]; e.Kind != view.Told || !f.place.has(&e.Event) {
					text = append(text, e.text...)
				}
			}
			if !more || len(text) > 0 && f.write(text) != nil {
				return
			}
		case <-ping.C:
			if f.write([]byte(":\n\n")) != nil || f.view.Follow(ctx) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// write writes at once.
func (f *follower) write(text []byte) error {
	if err := f.out.SetWriteDeadline(time.Now().Add(flushIn)); err != nil {
		return err
	}
	if _, err := f.w.Write(text); err != nil {
		return err
	}
	return f.out.Flush()
}
