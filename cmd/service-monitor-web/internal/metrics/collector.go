package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// A collector makes the metrics of one status.
type collector struct {
	*tell.Status
	Options
}

// family returns all values of a metric. So no more of them are in memory than one metric has, however many
// units there are.
func (c *collector) family(m *metric) *dto.MetricFamily {
	out := sink{m, &dto.MetricFamily{Name: &m.name, Help: &m.help, Type: &m.kind}}
	c.monitor(out)
	told := make(map[string]bool, len(c.Units))
	for _, u := range c.Units {
		name := printable(u.Unit)
		if told[name] {
			continue // Prometheus refuses everything if a series is there twice
		}
		told[name] = true
		c.unit(out, name, u)
		if c.SystemdExporter {
			c.systemd(out, name, u)
		}
	}
	return out.family
}

// A sink takes the values of one metric, and leaves out those of all others.
type sink struct {
	only   *metric
	family *dto.MetricFamily
}

func (s sink) put(m *metric, value float64, labels ...string) {
	if m == s.only {
		s.add(value, slices.Clone(labels)) // so those that are left out need no heap
	}
}

func (s sink) add(value float64, labels []string) {
	is := &dto.Metric{Label: make([]*dto.LabelPair, len(labels))}
	for i := range labels {
		is.Label[i] = &dto.LabelPair{Name: &s.only.labels[i], Value: &labels[i]}
	}
	if s.only.kind == dto.MetricType_COUNTER {
		is.Counter = &dto.Counter{Value: &value}
	} else {
		is.Gauge = &dto.Gauge{Value: &value}
	}
	s.family.Metric = append(s.family.Metric, is)
}

// is puts 1 or 0.
func (s sink) is(m *metric, yes bool, labels ...string) {
	value := 0.0
	if yes {
		value = 1
	}
	s.put(m, value, labels...)
}

// one puts 1 for the value that is true, and 0 for each other one.
func (s sink) one(m *metric, is string, all []string, labels ...string) {
	if m != s.only {
		return
	}
	if is = printable(is); !slices.Contains(all, is) {
		all = append(slices.Clone(all), is) // of a newer systemd
	}
	for _, value := range all {
		s.is(m, value == is, append(slices.Clone(labels), value)...)
	}
}

// at puts a time, unless it is zero.
func (s sink) at(m *metric, at time.Time, labels ...string) {
	if !at.IsZero() {
		s.put(m, seconds(at), labels...)
	}
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// watching reports whether somebody sees now how the units are.
func (c *collector) watching() bool {
	return c.running() && (c.Monitor.Counters == nil || c.Monitor.Counters.Connected)
}

// running reports whether the monitor has answered.
func (c *collector) running() bool { return c.Monitor.Version != "" || c.Monitor.Counters != nil }

// monitor tells how the monitor itself is. Without an answer of it, only that is known.
func (c *collector) monitor(out sink) {
	out.put(buildInfo, 1, printable(c.Version), printable(c.Monitor.Version))
	if c.Monitor.Troubles != nil { // without an answer of the monitor nobody knows
		out.put(troubles, float64(len(c.Monitor.Troubles)))
	}
	n := c.Monitor.Counters
	if n == nil {
		if !c.running() {
			out.is(busConnected, false)
		}
		return // an older monitor counts none of this
	}
	out.is(busConnected, n.Connected)
	out.is(gapOpen, n.GapOpen)
	out.is(clockTrusted, n.ClockTrusted)
	for _, row := range []struct {
		m *metric
		n uint64
	}{
		{reconnects, n.Reconnects}, {received, n.Received}, {refused, n.Refused}, {recovered, n.Recovered}, {gaps, n.Gaps},
		{saveFailures, n.SaveFailures}, {logFailures, n.LogFailures},
	} {
		out.put(row.m, float64(row.n))
	}
	out.each(stageStalls, n.Stalls)
	out.each(written, n.Written)
}

// each puts a count for each key.
func (s sink) each(m *metric, counts map[string]uint64, labels ...string) {
	if m != s.only {
		return
	}
	sums := map[string]uint64{}
	for key, n := range counts {
		sums[printable(key)] += n
	}
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		s.put(m, float64(sums[key]), append(slices.Clone(labels), key)...)
	}
}

// unit tells of a unit what is counted, and how it is now if somebody sees that.
func (c *collector) unit(out sink, name string, u *tell.Unit) {
	c.counts(out, name, u)
	out.is(unitAtLeast, u.AtLeast, name)
	c.times(out, name, u)
	if !c.watching() || !u.Life.Known() {
		return
	}
	c.spent(out, name, u)
	health := u.Health(c.AsOf)
	out.is(unitGaveUp, health == tell.GaveUp, name)
	if !c.NoUnitStates {
		out.one(unitState, u.State, states, name)
		out.one(unitHealth, string(health), healths, name)
	}
}

// counts tells what is counted. While the monitor has counted more than this, nothing is told: what was told
// before would go down. Prometheus would take that for a counter that began again at 0, and see thousands of
// crashes in a moment.
func (c *collector) counts(out sink, name string, u *tell.Unit) {
	if c.Behind {
		return
	}
	out.put(unitStarts, float64(u.Starts), name)
	out.put(unitStops, float64(u.Stops), name)
	out.put(unitCrashes, float64(u.Crashes), name)
	out.put(unitUnknownEnds, float64(u.Tally.Unknown), name)
	out.put(unitRestarts, float64(u.Restarts), name)
	if out.only == unitByResult {
		causes := map[string]uint64{}
		for _, cause := range u.CrashCauses {
			causes[cause.Result] += cause.Crashes
		}
		out.each(unitByResult, causes, name)
	}
}

// late is how long ago the seconds in each phase end. The present phase may be over, and nobody has said so
// yet. If it were told to last until now, the seconds could go down by the next scrape. Prometheus would take
// that for a counter that began again at 0.
const late = 3 * time.Second

// spent tells how long the unit was in each phase. While nobody watches, that is not known: the phase that
// was seen last may be over. If it were told to go on, its seconds would go down later.
func (c *collector) spent(out sink, name string, u *tell.Unit) {
	if u.Times.Phase == count.NoPhase || c.Behind {
		return
	}
	m := c.Moment()
	m.Time, m.Clock = m.Time.Add(-late), m.Clock-min(m.Clock, uint64(late.Microseconds()))
	spent := u.Times.SpentAt(m)
	for _, phase := range count.Phases {
		out.put(unitSeconds, spent[phase].Seconds(), name, phase.String())
	}
}

// times tells when the unit changed, and when it crashed.
func (c *collector) times(out sink, name string, u *tell.Unit) {
	out.at(unitLastChange, changed(u), name)
	if crash := u.LastCrash; crash != nil {
		out.at(unitLastCrash, c.when(crash.Time, crash.Untrusted, crash.Boot, crash.Clock), name)
	}
}

// changed returns when the unit entered its state; zero if the clock was wrong then.
func changed(u *tell.Unit) time.Time {
	if u.ChangedUntrusted {
		return time.Time{}
	}
	return u.Changed
}

// when returns when something was. If the clock was not set at that time, the monotonic clock tells it,
// but only in the same boot. Otherwise it is zero.
func (c *collector) when(at time.Time, untrusted bool, boot string, monotonic uint64) time.Time {
	switch {
	case !untrusted:
		return at
	case monotonic > 0 && boot == c.Clock.Boot && monotonic <= c.Clock.Since:
		return c.Clock.Now.Add(-time.Duration(c.Clock.Since-monotonic) * time.Microsecond)
	}
	return time.Time{}
}

// states are the active states that systemd has, and the one for a unit that it does not have.
var states = []string{"active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating", "maintenance", decode.NotLoaded}

var healths = []string{
	string(tell.Running), string(tell.ExitedOK), string(tell.Stopped), string(tell.Starting), string(tell.CrashLoop), string(tell.Failed),
	string(tell.GaveUp), string(tell.NotLoaded), string(tell.Unknown),
}

// printable returns a text as valid UTF-8, which is all that Prometheus takes. Each byte that is none is
// told as systemd escapes it, so different names stay different.
func printable(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, text[0])
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}
