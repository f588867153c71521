package tell

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"service-monitor/stages/chronicle/store"
)

// An Event is one event as JSON.
type Event struct {
	Seq        uint64    `json:"seq"`
	Time       time.Time `json:"time"`
	Until      time.Time `json:"until,omitzero"` // the time of the last event, if there are several, or when a gap was closed
	Boot       string    `json:"boot_id,omitempty"`
	Monotonic  uint64    `json:"monotonic_usec,omitempty"`
	Unit       string    `json:"unit,omitempty"`
	Kind       string    `json:"kind"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	SubState   string    `json:"sub_state,omitempty"`
	Result     string    `json:"result,omitempty"`
	Code       *int32    `json:"code,omitempty"`
	Signal     *int32    `json:"signal,omitempty"`
	Text       string    `json:"status_text,omitempty"`
	Invocation string    `json:"invocation,omitempty"`
	Rule       string    `json:"rule,omitempty"`
	Recovered  bool      `json:"recovered,omitempty"`
	AtLeast    bool      `json:"at_least,omitempty"`
	Untrusted  bool      `json:"untrusted,omitempty"`
	Untold     bool      `json:"untold,omitempty"` // it happened while the history was not written
	Count      int64     `json:"count"`            // how many events it stands for
	Starts     int64     `json:"starts"`
	Stops      int64     `json:"stops"`
	Crashes    int64     `json:"crashes"`
	Unknown    int64     `json:"unknown"`
	Restarts   int64     `json:"restarts"`
}

// WriteJSON writes a record as JSON, one object a line.
func WriteJSON(w io.Writer, r *store.Record) error {
	out := json.NewEncoder(w)
	for _, e := range Events(r) {
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// Events returns a record as objects for JSON. A record that stands for events of several kinds is an object for
// each kind.
func Events(r *store.Record) (list []Event) {
	e := eventOf(r)
	if r.Delta == store.Single(r.Kind, 0) {
		return []Event{e}
	}
	for _, part := range []struct {
		kind  store.Kind
		count int64
	}{
		{store.Start, r.Delta.Starts}, {store.Stop, r.Delta.Stops}, {store.Crash, r.Delta.Crashes},
		{store.UnknownEnd, r.Delta.Unknown}, {store.Restart, r.Delta.Restarts},
	} {
		if part.count != 0 {
			e.Kind, e.Count = part.kind.String(), part.count
			list = append(list, e)
		}
	}
	return list
}

// eventOf returns a record as one object.
func eventOf(r *store.Record) Event {
	e := Event{
		Seq: r.Seq, Time: r.Time, Until: r.Until, Boot: r.Boot, Monotonic: r.Monotonic, Unit: r.Unit, Kind: r.Kind.String(),
		From: r.From, To: r.To, SubState: r.SubState, Result: r.Result, Rule: r.Rule,
		Recovered: r.Flags&store.Recovered != 0, AtLeast: r.Flags&store.AtLeast != 0, Untrusted: r.Flags&store.Untrusted != 0, Untold: r.Flags&store.Untold != 0,
		Count: 1, Starts: r.After.Starts, Stops: r.After.Stops, Crashes: r.After.Crashes, Unknown: r.After.Unknown, Restarts: r.After.Restarts,
	}
	if r.Invocation != [16]byte{} {
		e.Invocation = hex.EncodeToString(r.Invocation[:])
	}
	if r.Result != "" {
		e.Text = Cause(r.Result, r.Code, r.Status)
		code, status := r.Code, r.Status // r may be used again
		e.Code, e.Signal = exit(code, &status)
	}
	return e
}
