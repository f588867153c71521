package tell

import (
	"encoding/json"
	"io"
	"time"

	"service-monitor/stages/bus/plan"
)

// A statusMonitor is the monitor itself as JSON.
type statusMonitor struct {
	Running bool      `json:"running"`
	Host    string    `json:"host,omitempty"`
	Now     time.Time `json:"now"`
	AsOf    time.Time `json:"as_of"`
	Stopped time.Time `json:"stopped,omitzero"`
	Since   time.Time `json:"history_since,omitzero"`
	Blind   bool      `json:"blind,omitempty"`
	Behind  bool      `json:"behind,omitempty"`
	// Troubles are missing if the monitor does not run.
	Troubles []string `json:"troubles,omitzero"`
}

// A statusUnit is a unit as JSON.
type statusUnit struct {
	Unit      string     `json:"unit"`
	Health    Health     `json:"health"`
	Attention bool       `json:"needs_attention"`
	Mark      string     `json:"mark"`
	Words     string     `json:"health_text"`
	Summary   string     `json:"summary,omitempty"`
	For       *float64   `json:"for_seconds,omitempty"` // missing if it is not known
	Active    string     `json:"active_state"`
	Sub       string     `json:"sub_state,omitempty"`
	Since     time.Time  `json:"since,omitzero"`
	Starts    uint64     `json:"starts"`
	Stops     uint64     `json:"stops"`
	Crashes   uint64     `json:"crashes"`
	Unknown   uint64     `json:"unknown"`
	Restarts  uint64     `json:"restarts"`
	AtLeast   bool       `json:"at_least"`
	Day       *int64     `json:"crashes_24h,omitempty"` // missing if there is no history
	Available *float64   `json:"availability_24h,omitempty"`
	Between   *float64   `json:"mtbf_seconds,omitempty"`
	Repair    *float64   `json:"mttr_seconds,omitempty"`
	LastCrash *lastCrash `json:"last_crash,omitempty"`
	Retrying  bool       `json:"retrying"`
	GaveUp    bool       `json:"gave_up"`
	Because   string     `json:"gave_up_because,omitempty"` // a result of systemd, or a load state
	*statusPlan
}

// A statusPlan is what systemd has been told to do with a unit, as JSON. It is missing if systemd was
// not asked, or did not answer.
type statusPlan struct {
	Restart  string    `json:"restart"`
	Delay    *float64  `json:"restart_seconds,omitempty"` // missing if it is infinity
	NextTry  time.Time `json:"next_try_at,omitzero"`
	NextIn   *float64  `json:"next_try_seconds,omitempty"`
	Burst    uint32    `json:"start_limit_burst"` // 0 if there is no start limit
	Interval *float64  `json:"start_limit_interval_seconds,omitempty"`
	Used     *int64    `json:"start_limit_used,omitempty"`
	Triggers []string  `json:"triggered_by,omitempty"`
}

type lastCrash struct {
	Time       time.Time `json:"time"`
	Result     string    `json:"result"`
	Code       *int32    `json:"code,omitempty"`
	Signal     *int32    `json:"signal,omitempty"`
	Text       string    `json:"status_text"`
	Invocation string    `json:"invocation,omitempty"`
	Ago        *int64    `json:"ago_seconds,omitempty"`
}

// WriteJSON writes the status as one JSON object.
func (s *Status) WriteJSON(w io.Writer) error {
	out := struct {
		Monitor statusMonitor `json:"monitor"`
		Units   []statusUnit  `json:"units"`
	}{s.monitorJSON(), []statusUnit{}}
	for _, u := range s.Units {
		out.Units = append(out.Units, s.unitJSON(u, s.Availability(u)))
	}
	return json.NewEncoder(w).Encode(out)
}

func (s *Status) monitorJSON() statusMonitor {
	return statusMonitor{s.Stopped.IsZero(), s.Host, s.Now, s.AsOf, s.Stopped, s.Since, s.Blind(), s.Behind, s.Troubles}
}

func (s *Status) unitJSON(u *Unit, a Availability) statusUnit {
	h := s.health(u)
	j := statusUnit{
		Unit: u.Unit, Health: h, Attention: h.Attention(), Mark: healths[h.rank()].mark, Words: healths[h.rank()].words,
		Summary: s.explain(u, h, s.Now.Location()), For: s.forSeconds(u, h), Active: u.State, Since: u.Changed,
		Starts: u.Starts, Stops: u.Stops, Crashes: u.Crashes, Unknown: u.Tally.Unknown, Restarts: u.Restarts, AtLeast: u.AtLeast,
	}
	if u.Life != nil {
		j.Sub = u.Life.SubState
	}
	if !s.Since.IsZero() {
		j.Day = &u.Day
	}
	j.Available, j.Between, j.Repair = known(a.Day), known(a.Between.Seconds()), known(a.Repair.Seconds())
	if c := u.LastCrash; c != nil {
		j.LastCrash = &lastCrash{Time: c.Time, Result: c.Cause.Result, Text: Cause(c.Cause.Result, c.Cause.Code, c.Cause.Status), Invocation: c.Invocation}
		j.LastCrash.Ago = whole(s.longSince(c))
		j.LastCrash.Code, j.LastCrash.Signal = exit(c.Cause.Code, &c.Cause.Status)
	}
	if j.Retrying, j.GaveUp = u.Retrying(), h == GaveUp; j.GaveUp {
		j.Because = u.gaveUp
	}
	if u.Plan != nil {
		j.statusPlan = s.planJSON(u)
	}
	return j
}

// forSeconds returns how long a unit is in its state, or in its loop; nil if that is not known.
func (s *Status) forSeconds(u *Unit, h Health) *float64 {
	long, known := s.longIn(u)
	if h == CrashLoop {
		long, known = s.inLoop(u)
	}
	if !known {
		return nil
	}
	return finite(long)
}

func (s *Status) planJSON(u *Unit) *statusPlan {
	p := u.Plan
	j := &statusPlan{Restart: p.Restart, Delay: finite(p.Delay), NextTry: s.nextTry(p), Triggers: p.TriggeredBy}
	if !j.NextTry.IsZero() {
		j.NextIn = finite(max(0, j.NextTry.Sub(s.Now)))
	}
	if p.Limited() {
		j.Burst, j.Interval = p.Burst, finite(p.Interval)
	}
	if used := s.used(u); used >= 0 {
		j.Used = &used
	}
	return j
}

// finite returns a duration in seconds, or nil if it is infinite.
func finite(d time.Duration) *float64 {
	if d == plan.Forever {
		return nil
	}
	seconds := d.Seconds()
	return &seconds
}

// whole returns a duration in whole seconds, or nil if it is not known.
func whole(d time.Duration, known bool) *int64 {
	if !known {
		return nil
	}
	seconds := int64(d.Seconds())
	return &seconds
}

// known returns a number, or nil if it is negative and so not known.
func known(n float64) *float64 {
	if n < 0 {
		return nil
	}
	return &n
}

// exit returns the status of a main process as its exit code or as its signal.
func exit(code int32, status *int32) (exited, signal *int32) {
	switch code {
	case 1:
		return status, nil
	case 2, 3:
		return nil, status
	}
	return nil, nil
}
