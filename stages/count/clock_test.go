package count

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// in1970 is what the clock of a board without a battery shows, an hour after boot.
var in1970 = time.Date(1970, 1, 1, 1, 0, 0, 0, time.UTC)

// place is one in the journal of a boot, made at a time of both clocks.
func place(boot string, nth int, wall time.Time, clock uint64) records.Place {
	return records.Place(fmt.Sprintf("s=1;i=%x;b=%s;m=%x;t=%x", nth, boot, clock, wall.UnixMicro()))
}

// after is a moment that is so much later than noon by the clock that is not set.
func after(d time.Duration, wall time.Time) Moment { return Moment{noon, hour, boot}.after(d, wall) }

// A time is wrong that is older than the program, or than what it knew before.
func TestTrust(t *testing.T) {
	crashed := func(at time.Time, untrusted bool) Tally {
		return Tally{LastCrash: &Crash{Time: at, Untrusted: untrusted}}
	}
	changed := func(at time.Time, untrusted bool) Tally { return Tally{Changed: at, ChangedUntrusted: untrusted} }
	for _, tt := range []struct {
		name  string
		known []Tally
		time  time.Time
		want  bool
	}{
		{"now", nil, noon, true},
		{"1970", nil, in1970, false},
		{"before the program", nil, epoch.Add(-time.Hour), false},
		{"as old as the program", nil, epoch, true},
		{"the far future", nil, noon.AddDate(200, 0, 0), true},
		{"1970, and so does the state file say", []Tally{crashed(in1970, true), changed(in1970, true)}, in1970, false},
		{"1970, and so does the state file of an earlier version", []Tally{crashed(in1970, false), changed(in1970, false)}, in1970, false},
		{"after the last crash", []Tally{crashed(noon.Add(-time.Hour), false)}, noon, true},
		{"a little before it", []Tally{crashed(noon.Add(slack), false)}, noon, true},
		{"before it", []Tally{crashed(noon.Add(slack+1), false)}, noon, false},
		{"before one that is not trusted", []Tally{crashed(noon.AddDate(70, 0, 0), true)}, noon, true},
		{"before the newest of all", []Tally{crashed(noon.Add(-time.Hour), false), crashed(noon.Add(time.Hour), false), changed(noon, false)}, noon, false},
		{"before the last change, as it may be in another zone", []Tally{changed(noon.Add(zones), false)}, noon, true},
		{"days before the last change", []Tally{changed(noon.Add(3*zones), false)}, noon, false},
		{"before a change that is not trusted", []Tally{changed(noon.Add(3*zones), true)}, noon, true},
		{"what never changed says nothing", []Tally{{}}, noon, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := make(map[string]*Tally)
			for i, tally := range tt.known {
				known[fmt.Sprint(i)] = &tally
			}
			c := newClock(known, Moment{tt.time, hour, boot})
			if got := c.trusts(tt.time); got != tt.want {
				t.Errorf("trusted: %v, want %v", got, tt.want)
			}
		})
	}
}

// Of two times by both clocks, the difference of the differences is by how much
// the wall clock was set.
func TestSet(t *testing.T) {
	const none = "not set"
	ahead := noon.AddDate(1, 0, 0)
	for _, tt := range []struct {
		name  string
		known Tally
		then  []Moment
		want  []string // of each moment: whether and from when the clock was set, and whether it is trusted
	}{
		{"never", Tally{}, []Moment{after(time.Hour, noon.Add(time.Hour)), after(9999*time.Hour, noon.Add(9999*time.Hour))}, []string{none, none}},
		{"by NTP, a little", Tally{}, []Moment{after(0, noon.Add(slack-1)), after(0, noon.Add(1-slack))}, []string{none, none}},
		{"forward", Tally{}, []Moment{after(time.Hour, ahead), after(2*time.Hour, ahead.Add(time.Hour))}, []string{"13:00:00", none}},
		{"back", Tally{}, []Moment{after(time.Hour, noon)}, []string{"13:00:00"}},
		{"to 1970 and forward", Tally{}, []Moment{after(0, in1970), after(time.Hour, ahead)}, []string{"12:00:00 not trusted", "02:00:00"}},
		{"a little at a time", Tally{}, []Moment{after(0, noon.Add(slack/2)), after(0, noon.Add(slack)), after(0, noon.Add(slack*3/2))}, []string{none, "12:00:00", none}},
		{"what is seen out of order", Tally{}, []Moment{after(time.Hour, noon.Add(time.Hour)), after(-time.Minute, noon.Add(-time.Minute))}, []string{none, none}},

		{"it is behind, and then set", Tally{LastCrash: &Crash{Time: ahead}},
			[]Moment{after(time.Hour, noon.Add(time.Hour)), after(time.Hour, ahead.Add(time.Hour))}, []string{none + " not trusted", "13:00:00"}},
		{"it was ahead, and is set back", Tally{LastCrash: &Crash{Time: ahead}},
			[]Moment{after(time.Hour, ahead.Add(time.Hour)), after(time.Hour, noon.Add(time.Hour)), after(2*time.Hour, noon.Add(2*time.Hour))},
			[]string{"13:00:00", "13:00:00", none}},
		{"it is behind, and set back further", Tally{LastCrash: &Crash{Time: ahead}}, []Moment{after(0, noon.Add(-time.Hour))}, []string{"12:00:00"}},
		{"it is set back to what is wrong", Tally{LastCrash: &Crash{Time: noon}},
			[]Moment{after(0, in1970), after(0, epoch.AddDate(0, 1, 0))}, []string{"12:00:00 not trusted", "01:00:00 not trusted"}},

		{"while no monitor ran, in this boot", Tally{LastCrash: &Crash{Time: ahead}, Life: &classify.Life{Cursor: place(boot, 1, ahead, hour/2)}},
			[]Moment{after(0, noon)}, []string{"12:30:00"}},
		{"never in this boot", Tally{Life: &classify.Life{Cursor: place(boot, 1, noon.Add(-time.Hour/2), hour/2)}}, []Moment{after(0, noon)}, []string{none}},
		{"between two boots", Tally{LastCrash: &Crash{Time: ahead}, Life: &classify.Life{Cursor: place("another", 1, ahead, 9*hour)}},
			[]Moment{after(0, noon)}, []string{none + " not trusted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(map[string]*Tally{"a": &tt.known}, Moment{noon, hour, boot})
			var got []string
			for _, m := range tt.then {
				from, set := c.take(m)
				text := none
				if set {
					text = from.UTC().Format(time.TimeOnly)
				}
				if !c.trusts(m.Time) {
					text += " not trusted"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The clock that is never set shows how long ago the last crash was. If it cannot, the wall clock
// does, as long as it can be right.
func TestAgo(t *testing.T) {
	ago3min := Crash{Time: noon.Add(-3 * time.Minute)}
	with := func(c Crash, changes ...func(*Crash)) Crash {
		for _, change := range changes {
			change(&c)
		}
		return c
	}
	clocked := func(boot string) func(*Crash) {
		return func(c *Crash) { c.Boot, c.Clock = boot, hour-3*60_000_000 }
	}
	untrusted := func(c *Crash) { c.Untrusted = true }
	at := func(t time.Time) func(*Crash) { return func(c *Crash) { c.Time = t } }
	for _, tt := range []struct {
		name  string
		crash Crash
		now   time.Time
		want  string
	}{
		{"by the wall clock", ago3min, noon, " 3 min ago"},
		{"in this boot", with(ago3min, clocked(boot)), noon, " 3 min ago"},
		{"in this boot, whose id is not known", with(ago3min, clocked("")), noon, " 3 min ago"},
		{"in this boot, and the clock was set forward", with(ago3min, clocked(boot), at(in1970), untrusted), noon, " 3 min ago"},
		{"in this boot, and the clock was set back", with(ago3min, clocked(boot)), in1970, " 3 min ago"},
		{"in another boot", with(ago3min, clocked("another"), at(noon.Add(-2*time.Hour))), noon, " 2 h ago"},
		{"in another boot, by a clock that was wrong", with(ago3min, clocked("another"), at(in1970), untrusted), noon, ""},
		{"by a clock that was wrong, as an earlier version saved it", with(ago3min, at(in1970)), noon, ""},
		{"in another boot, and now the clock is wrong", with(ago3min, clocked("another")), in1970, ""},
		{"a little later than now", with(ago3min, at(noon.Add(time.Second))), noon, " just now"},
		{"later than now", with(ago3min, at(noon.Add(time.Hour))), noon, ""},
		{"longer ago than can be", ago3min, noon.AddDate(40, 0, 0), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := New(quiet, nil, Moment{noon, hour, boot})
			s.units["a"] = &Tally{Unit: "a", Crashes: 1, LastCrash: &tt.crash}
			want := "watching 1 services, 0 active, last crash a" + tt.want
			if got := s.status(Moment{tt.now, hour, boot}); got != want {
				t.Errorf("status (-want +got):\n-%s\n+%s", want, got)
			}
		})
	}
}

// The last crash is the last one by the clock that is not set.
func TestLastCrash(t *testing.T) {
	for _, tt := range []struct {
		name          string
		earlier, last *Crash
	}{
		{"by the wall clock", &Crash{Time: noon}, &Crash{Time: noon.Add(time.Second)}},
		{"of none and one", nil, &Crash{Time: in1970, Untrusted: true}},
		{"in this boot, set back between them", &Crash{Time: noon, Clock: 1, Boot: boot}, &Crash{Time: in1970, Clock: 2, Boot: boot}},
		{"in this boot, one counted by this process", &Crash{Time: noon, Clock: 1, Boot: boot}, &Crash{Time: in1970, Clock: 2}},
		{"in an earlier boot and in this one", &Crash{Time: noon, Clock: 9, Boot: "another"}, &Crash{Time: in1970, Clock: 2, Boot: boot}},
		{"in two earlier boots", &Crash{Time: noon, Clock: 9, Boot: "another"}, &Crash{Time: noon.Add(time.Second), Clock: 2, Boot: "third"}},
		{"one not trusted", &Crash{Time: noon.AddDate(70, 0, 0), Untrusted: true}, &Crash{Time: noon}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.earlier.before(tt.last, boot) || tt.last.before(tt.earlier, boot) || tt.last.before(tt.last, boot) {
				t.Errorf("before: %v, and the other way round %v", tt.earlier.before(tt.last, boot), tt.last.before(tt.earlier, boot))
			}
		})
	}
}

// hearing is a log that keeps its lines.
type hearing struct{ lines []string }

func (h *hearing) Levels() []logrus.Level { return logrus.AllLevels }
func (h *hearing) Fire(e *logrus.Entry) error {
	h.lines = append(h.lines, fmt.Sprintf("%s %v %s: %v %v", e.Time.Format(time.DateOnly), e.Level, e.Message, e.Data["from"], e.Data["to"]))
	return nil
}

// The clock changes marks and nothing else. If it is set back, later times are marked, in the file
// too. A unit that is still recovering is left out.
func TestMarks(t *testing.T) {
	log, heard := logrus.New(), &hearing{}
	log.SetOutput(io.Discard)
	log.AddHook(heard)
	future := noon.AddDate(70, 0, 0)
	mark := func(is bool) string { return map[bool]string{true: " untrusted"}[is] }
	s := New(log, nil, Moment{in1970, hour, ""})
	var got []string
	add := func(k classify.Kind, unit string, at Moment, change ...func(*classify.Transition)) {
		fact := classify.Transition{Kind: k, Unit: unit, Time: at.Time, Clock: at.Clock, To: "active", Life: life(1, k != classify.Crashed)}
		fact.Cause.Result = "signal"
		for _, change := range change {
			change(&fact)
		}
		for _, e := range s.count(nil, fact, at.Time) {
			crash := ""
			if c := e.Tally.LastCrash; c != nil {
				crash = fmt.Sprintf(" crash at %d of %.3q%s", c.Clock, c.Boot, mark(c.Untrusted))
			}
			got = append(got, fmt.Sprintf("%d %s%s %d/%d%s%s", e.Kind, e.Unit, mark(e.Untrusted), e.Tally.Starts, e.Tally.Crashes, mark(e.Tally.ChangedUntrusted), crash))
		}
	}
	recovered := func(clock uint64) func(*classify.Transition) {
		return func(t *classify.Transition) { t.Recovered, t.Clock = true, clock }
	}
	cursor := func(t *classify.Transition) { t.Life.Cursor = place(boot, 1, noon, 1) }

	add(classify.Seen, "a", after(1000, in1970))
	add(classify.Crashed, "b", after(2000, in1970), recovered(hour-7)) // and no boot id yet
	add(classify.Started, "a", after(3000, in1970), cursor)
	add(classify.Crashed, "a", after(4000, in1970))
	add(classify.Moved, "a", after(5000, future), func(t *classify.Transition) { t.To = "failed" }) // set forward, too far
	add(classify.Seen, "b", after(6000, future))
	add(classify.Crashed, "b", after(7000, future))
	add(classify.Started, "c", after(8000, future), recovered(0))
	add(classify.Crashed, "c", after(9000, future), recovered(0))
	add(classify.Started, "d", after(10000, noon)) // set back
	add(classify.CaughtUp, "c", after(11000, noon))
	add(classify.Crashed, "d", after(12000, noon))
	add(classify.Stopped, "d", after(13000, noon), func(t *classify.Transition) { t.Recovered, t.Time = true, future })
	want := []string{
		`0 a untrusted 0/0 untrusted`,
		`4 b untrusted 0/1 crash at 3599999993 of "" untrusted`,
		`2 a untrusted 1/0 untrusted`,
		`4 a untrusted 1/1 untrusted crash at 3600000004 of "012" untrusted`,
		`1 a 1/1 crash at 3600000004 of "012" untrusted`,
		`0 b 0/1 crash at 3599999993 of "" untrusted`,
		`4 b 0/2 crash at 3600000007 of "012"`,
		`2 c 1/0`,
		`4 c 1/1 crash at 0 of ""`,
		`9 a 1/1 untrusted crash at 3600000004 of "012" untrusted`,
		`9 b 0/2 untrusted crash at 3600000007 of "012" untrusted`,
		`2 d 1/0`,
		`9 c 1/1 crash at 0 of "" untrusted`,
		`4 d 1/1 crash at 3600000012 of "012"`,
		`3 d untrusted 1/1 crash at 3600000012 of "012"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kind, unit, starts/crashes, marks (-want +got):\n%s", diff)
	}
	local := func(t time.Time) string { return t.Local().Format(timeFormat) }
	lines := []string{
		future.Format(time.DateOnly) + " warning the clock was set: " + local(in1970) + " " + local(future),
		noon.Format(time.DateOnly) + " warning the clock was set: " + local(future) + " " + local(noon),
	}
	if diff := cmp.Diff(lines, heard.lines); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// A time that this process has read is of both clocks; one that was read in the
// journal is of that alone.
func TestLiveClock(t *testing.T) {
	s := New(quiet, nil, Now())
	if boot := s.start.Boot; len(boot) != 32 && boot != "" || strings.Contains(boot, "-") {
		t.Errorf("boot id %q", boot)
	}
	fact := classify.Transition{Kind: classify.Crashed, Unit: "a", Time: time.Now(), Life: life(1, false), Invocation: decode.Invocation{1}}
	c := counted(s, fact).LastCrash
	if d := Now().since(Moment{Clock: c.Clock}); d < 0 || d > time.Hour || c.Boot != s.start.Boot {
		t.Errorf("it was %v ago in boot %q", d, c.Boot)
	}
	fact.Recovered = true
	if c := counted(New(quiet, nil, Now()), fact).LastCrash; c.Clock != 0 || c.Boot != "" {
		t.Errorf("it has a clock: %+v", c)
	}
}
