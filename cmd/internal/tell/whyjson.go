package tell

import (
	"encoding/json"
	"io"
	"time"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/journald/records"
)

// A whyReport is everything that a Why says, as JSON. What is not known is missing.
type whyReport struct {
	Monitor     statusMonitor `json:"monitor"`
	Unit        statusUnit    `json:"unit"`
	Summary     string        `json:"summary"`
	Explanation string        `json:"explanation,omitempty"` // of the crash, or else of unit.last_crash
	Crash       *whyCrash     `json:"crash,omitempty"`       // the one that is asked for
	Loop        *whyLoop      `json:"loop,omitempty"`
	Causes      []cause       `json:"causes"` // of all crashes in the history
	Next        string        `json:"what_next,omitempty"`
	Stop        *whyStop      `json:"stop,omitempty"`
	Down        *float64      `json:"down_24h_seconds,omitempty"`
	Near        []Event       `json:"near"` // what happened to other units within five seconds of the crash
	Words       *lastWords    `json:"last_words,omitempty"`
	Report      []Field       `json:"report"` // in the words of the text
	Further     []string      `json:"look_further"`
	Mended      []string      `json:"to_start,omitempty"` // the commands that start it when it is mended
}

// A whyCrash is a crash as JSON. Kind is "many" if it is several, and Count says how many.
type whyCrash struct {
	Event
	Run     *float64 `json:"run_seconds,omitempty"`
	Ago     *int64   `json:"ago_seconds,omitempty"`
	Counted string   `json:"rule_text,omitempty"`
}

type whyLoop struct {
	Crashes int64     `json:"crashes"`
	Since   time.Time `json:"since"`
	Every   float64   `json:"every_seconds"`
}

// A whyStop is the last stop as JSON, if no crash came after it.
type whyStop struct {
	Event
	Ago         *int64 `json:"ago_seconds,omitempty"`
	Explanation string `json:"explanation"`
}

// lastWords are those of the run that crashed, or else of one before it.
type lastWords struct {
	Time       time.Time      `json:"time"` // of that crash
	Invocation string         `json:"invocation"`
	CPU        float64        `json:"cpu_seconds,omitempty"`
	Memory     uint64         `json:"memory_peak_bytes,omitempty"`
	Core       int            `json:"core_dump_pid,omitempty"`
	Whose      string         `json:"whose"` // of which run they are, in words
	Lines      []records.Line `json:"lines"`
}

// WriteJSON writes the report as one JSON object. It has all lines that were kept.
func (y *Why) WriteJSON(w io.Writer) error {
	c, zone := y.chosen(), y.Status.Now.Location()
	out := whyReport{
		Monitor: y.Status.monitorJSON(), Unit: y.Status.unitJSON(y.Unit, y.Uptime), Summary: y.headline(zone),
		Next: y.Status.next(y.Unit, zone), Causes: y.causes(), Down: known(y.Uptime.Down.Seconds()), Near: []Event{}, Words: wordsOf(y.box(c), c, zone),
		Report: y.fields(zone), Further: y.further(), Mended: y.mended(),
	}
	if last := y.Unit.LastCrash; last != nil {
		out.Explanation = Explain(last.Cause.Result, last.Cause.Code, last.Cause.Status)
	}
	if c != nil {
		out.Explanation = Explain(c.Result, c.Code, c.Status)
		out.Crash = &whyCrash{Event: eventOf(&c.Record), Run: known(c.run.Seconds()), Ago: whole(y.Status.longSinceEnd(&c.Record)), Counted: ruleWords(c.Rule)}
		out.Crash.Count = c.Delta.Crashes
	}
	if u := y.Unit; y.loops() {
		out.Loop = &whyLoop{u.Loop, u.LoopSince, u.every().Seconds()}
	}
	if s := y.stop; s != nil && y.Number == 0 {
		out.Stop = &whyStop{eventOf(s), whole(y.Status.longSinceEnd(s)), Explain(s.Result, s.Code, s.Status)}
	}
	for i := range y.near {
		out.Near = append(out.Near, Events(&y.near[i])...)
	}
	return json.NewEncoder(w).Encode(out)
}

func wordsOf(b *blackbox.Box, c *crash, zone *time.Location) *lastWords {
	if b == nil {
		return nil
	}
	return &lastWords{b.Time, b.Invocation, b.CPU.Seconds(), b.Memory, b.Core, whose(b, c, zone), b.Lines}
}
