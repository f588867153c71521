package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/internal/view"
	"service-monitor/stages/feed"
)

// A View knows how all is. *view.Stage is one.
type View interface {
	Now(ctx context.Context, wants func(unit string) bool) (view.Snapshot, error)
	WithPlans(ctx context.Context) (view.Snapshot, error)
	Since(ctx context.Context, seq uint64) ([]view.Event, error)
	Follow(ctx context.Context) error
}

// patience is how long a request may wait for its answer.
const patience = 10 * time.Second

// An api answers with JSON.
type api struct {
	view   View
	config config.Config
	// reads has room for one token. Whoever reads the whole history has it, so that many who ask at once
	// take no more memory than one.
	reads chan struct{}
	hub   *hub
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	now, err := a.view.WithPlans(ctx)
	if err != nil {
		later(w, err)
		return
	}
	answer(w, func(b io.Writer) error { return now.WriteLive(b, now.Connected, now.Seq) })
}

// page returns the status for the page. It has no plans of systemd unless they are known already: they
// come as events.
func (a *api) page() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	now, err := a.view.Now(ctx, view.All)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = now.WritePage(&b, now.Connected, now.Seq)
	return b.Bytes(), err
}

// measured returns the status for metrics. The counters of the monitor are right only at the beginning of a
// connection, so each time it is asked anew.
func (a *api) measured(ctx context.Context) (*tell.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now, err := a.view.Now(ctx, view.All)
	if err != nil || !now.Connected {
		return now.Status, err
	}
	now.Monitor, err = feed.About(ctx, a.config.Feed.Socket)
	if err != nil { // it has just ended, or it hangs
		now.Monitor = feed.Monitor{}
	}
	return now.Status, nil
}

// A queryError is the error of a bad query.
type queryError struct{ error }

func badQuery(format string, args ...any) error { return queryError{fmt.Errorf(format, args...)} }

// reading calls read while nobody else reads, and answers with its error if there is one.
func (a *api) reading(w http.ResponseWriter, r *http.Request, read func() error) (ok bool) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	select {
	case a.reads <- struct{}{}:
		defer func() { <-a.reads }()
	case <-ctx.Done():
		later(w, ctx.Err())
		return false
	}
	err := read()
	var query queryError
	switch {
	case err == nil:
		return true
	case errors.As(err, &query):
		refuse(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, ask.ErrNotFound):
		refuse(w, http.StatusNotFound, err.Error())
	default:
		refuse(w, http.StatusServiceUnavailable, err.Error())
	}
	return false
}

// why tells why a unit crashed.
func (a *api) why(w http.ResponseWriter, r *http.Request) {
	y := &tell.Why{}
	ok := a.reading(w, r, func() error {
		q := r.URL.Query()
		unit := config.Full(q.Get("unit"))
		if unit == "" {
			return badQuery("unit is missing; write /api/why?unit=NAME")
		}
		crash, err := number(q, "crash", 0, 1, 1<<53)
		if err != nil {
			return err
		}
		y.Number = crash
		if err := ask.Why(a.config, unit, y); err != nil {
			return err
		}
		if y.Number > 0 && !y.Has() {
			return ask.NoSuchCrash(y)
		}
		return nil
	})
	if ok {
		answer(w, y.WriteJSON)
	}
}

// number returns a number of a query. If it is not there, it is usual.
func number(q url.Values, name string, usual, least, most int64) (int64, error) {
	text := q.Get(name)
	if text == "" && !q.Has(name) {
		return usual, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, badQuery("%s must be a number from %d to %d, found %.40q", name, least, most, text)
	}
	return n, nil
}

// answer answers with JSON.
func answer(w http.ResponseWriter, write func(io.Writer) error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes()) // if it cannot be written, nobody reads it
}

// later answers if there is no answer now.
func later(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	words := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		words = "this program has too much to do; ask again"
	}
	refuse(w, http.StatusServiceUnavailable, words)
}
